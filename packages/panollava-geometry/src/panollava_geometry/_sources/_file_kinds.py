"""What a file is by its first bytes, where Pillow has no decoder for it."""

from typing import Literal

FileKind = Literal["heif", "avif", "jxl", "radiance", "exr", "mp4", "matroska", "avi", ""]
#: Bytes that `file_kind` needs.
HEAD = 64
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
#: The first bytes of a JPEG XL file with metadata.
JXL_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"


def file_kind(head: bytes) -> FileKind:
    """The kind of a file whose first bytes are `head`; empty if it is none of these."""
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4))}
        if brands & {b"avif", b"avis"}:
            return "avif"
        return "heif" if head[8:12] in _HEIF_BRANDS else "mp4"
    if head.startswith((b"#?RADIANCE", b"#?RGBE")):
        return "radiance"
    if head.startswith(b"v/1\x01"):
        return "exr"
    if head.startswith((b"\xff\x0a", JXL_CONTAINER)):
        return "jxl"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    return "mp4" if head[4:8] in (b"moov", b"mdat", b"wide", b"skip") else ""


def jxl_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of JPEG XL data, from the first bytes of its codestream; None if they cannot be read.

    The decoder allocates the pixels when it opens a file, so the size must be known before. Source: ISO/IEC 18181-1,
    SizeHeader and BoxHeader.
    """
    start = 0
    if data.startswith(JXL_CONTAINER):
        start = len(JXL_CONTAINER)
        while data[start + 4 : start + 8] not in (b"jxlc", b"jxlp"):
            length = int.from_bytes(data[start : start + 4], "big")
            length = int.from_bytes(data[start + 8 : start + 16], "big") if length == 1 else length
            if length < 8 or start + length >= len(data):
                return None
            start += length
        large = int.from_bytes(data[start : start + 4], "big") == 1
        start += (16 if large else 8) + 4 * (data[start + 4 : start + 8] == b"jxlp")
    if data[start : start + 2] != b"\xff\x0a":
        return None
    bits = int.from_bytes(data[start + 2 : start + 18], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side() -> int:
        return take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height = 8 * (take(5) + 1) if small else side()
    ratio = take(3)
    if ratio:
        above, below = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * above // below, height
    return (8 * (take(5) + 1) if small else side()), height
