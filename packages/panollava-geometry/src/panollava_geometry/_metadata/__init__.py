"""Which part of the sphere an image shows, by its metadata, its size, its look, or what the user says."""

__all__: list[str] = []
