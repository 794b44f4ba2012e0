"""The boxes of MP4, MOV and JPEG XL files (ISO base media). A box is a length, a type, and its content."""

from collections.abc import Iterator
from typing import NamedTuple

#: Boxes that are read at one level.
_MAX_BOXES = 10_000


class Box(NamedTuple):
    """A box: its type, and where its content begins and ends."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes of one level. Reading ends at the first length that is impossible.

    Source: ISO/IEC 14496-12, 4.2. A length of 1 stands for a length of 64 bits behind the type, 0 for the rest.

    Args:
        data: The file, or its beginning.
        start: Where the first box begins.
        end: Where the last box ends. Default: at the end of the data.
    """
    end = len(data) if end is None else min(end, len(data))
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        length, head = int.from_bytes(data[start : start + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        elif length == 0:
            length = end - start
        if length < head or start + length > end:
            return
        yield Box(data[start + 4 : start + 8], start + head, start + length)
        start += length
