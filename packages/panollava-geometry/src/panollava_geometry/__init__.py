"""Exact, antialiased perspective views of equirectangular (360°) panoramas, and their overlaps."""

__all__: list[str] = []
