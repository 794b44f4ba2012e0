"""Boxes on the sphere: what they share, and how those of one object become one."""

__all__: list[str] = []
