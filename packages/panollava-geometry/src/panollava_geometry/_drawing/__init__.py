"""Outlines, boxes, labels and legends on images of any size, with one set of fonts and colours."""

__all__: list[str] = []
