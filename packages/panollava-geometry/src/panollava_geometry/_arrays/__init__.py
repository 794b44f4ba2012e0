"""Tensors, NumPy arrays and Pillow images as arguments and results: their kinds, sizes, options and memory."""

__all__: list[str] = []
