"""Which pixels of a panorama a view reads, how they are filtered, and the backends that read them."""

__all__: list[str] = []
