"""Search among vectors of panoramas, and how well it finds the same place again."""

__all__: list[str] = []
