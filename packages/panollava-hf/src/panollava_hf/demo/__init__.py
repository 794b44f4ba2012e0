"""The page of `panollava demo`: look around in a panorama, ask about it, and see where the answer comes from."""

__all__: list[str] = []
