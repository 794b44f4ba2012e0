"""The commands `crop` and `info`, and what they need: sources, output folders, reports of errors, Ctrl-C."""

__all__: list[str] = []
