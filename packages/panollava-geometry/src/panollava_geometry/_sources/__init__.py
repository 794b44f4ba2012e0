"""Where the bytes of an image come from, and what kind of file they are. Nothing is decoded here."""

__all__: list[str] = []
