"""Views as a set: plans and how they are made, sets of camera poses, and what views of a plan share."""

__all__: list[str] = []
