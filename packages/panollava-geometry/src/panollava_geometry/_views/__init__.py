"""Directions on the sphere, and views of all kinds, which map pixels to directions and back."""

__all__: list[str] = []
