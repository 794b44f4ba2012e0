"""Jobs on many panoramas, on one machine and on Ray."""

__all__: list[str] = []
