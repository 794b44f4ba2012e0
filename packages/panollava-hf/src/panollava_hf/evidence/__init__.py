"""Which parts of the sphere an answer rests on."""

__all__: list[str] = []
