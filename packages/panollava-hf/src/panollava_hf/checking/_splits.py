"""Panoramas that are in several splits, or in one table under several names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from panollava_hf.checking._images import NO_IMAGE, Images
from panollava_hf.checking._report import Problems
from panollava_hf.checking._tables import Found


def add_equal_files(found: Found, images: Images, equal: Mapping[str, str], problems: Problems) -> None:
    """Add the panoramas of a table that have the same content under different names.

    Args:
        found: The table.
        images: Its panoramas.
        equal: The key of each file with a copy, to that of the first of them.
        problems: Problems are added here.
    """
    first: dict[str, int] = {}
    for place, panorama in enumerate(images.panoramas):
        if panorama.key in equal:
            before = first.setdefault(equal[panorama.key], place)
            if before != place:
                other = images.panoramas[before]
                text = f"{panorama.name} has the same content as {other.name} ({found.place(other.first)})"
                problems.add("note", "equal files", found.where(panorama.first), text)


def add_shared(tables: Sequence[tuple[Found, Images]], equal: Mapping[str, str], problems: Problems) -> None:
    """Add the panoramas that several splits share, by path, URL or content.

    Args:
        tables: The tables with their panoramas.
        equal: The key of each file with a copy, to that of the first of them.
        problems: Problems are added here.
    """
    owner: dict[str, tuple[int, int]] = {}
    for number, (found, images) in enumerate(tables):
        for place, panorama in enumerate(images.panoramas):
            if panorama.key.startswith(NO_IMAGE):  # there is no such image
                continue
            first, there = owner.setdefault(equal.get(panorama.key, panorama.key), (number, place))
            if first == number:
                continue
            before, other = tables[first][0], tables[first][1].panoramas[there]
            same = "" if other.key == panorama.key else f" (same content: {other.name})"
            there_too = f"{Path(before.name).name}, {before.place(other.first)}"
            text = f"{panorama.name}{same} is also in {before.split} ({there_too})"
            problems.add("note", "shared panorama", found.where(panorama.first), text)
