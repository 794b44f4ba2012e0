"""Panoramas in files, also with float pixels, and in videos: decode, load, describe and save them."""

__all__: list[str] = []
