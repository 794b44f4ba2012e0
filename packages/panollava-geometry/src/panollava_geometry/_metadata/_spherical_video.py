"""What the metadata of an MP4 or MOV file says about its sphere: the boxes `sv3d` and `st3d`, or the older XML.

Sources: https://github.com/google/spatial-media/blob/master/docs/spherical-video-v2-rfc.md and spherical-video-rfc.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from panollava_geometry._sources._media_boxes import Box, boxes
from panollava_geometry._sources._source import BinaryFile
from panollava_geometry._sources._xmp import properties

Projection = Literal["equirectangular", "cubemap", "mesh", "unknown"]
Stereo = Literal["mono", "top-bottom", "left-right", "custom"]
_PROJECTIONS: dict[bytes, Projection] = {b"equi": "equirectangular", b"cbmp": "cubemap", b"mshp": "mesh"}
_STEREO: dict[int, Stereo] = {0: "mono", 1: "top-bottom", 2: "left-right"}
#: Boxes that contain boxes, on the way to the description of the images.
_CONTAINERS = (b"trak", b"mdia", b"minf", b"stbl")
_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
_NAMESPACE = "http://ns.google.com/videos/1.0/spherical/"
#: Bytes of the index of a video that are read, and of a description of images in front of its boxes.
_MAX_INDEX, _VISUAL = 64 * 2**20, 78
_MAX_BOXES, _MAX_XML, _MAX_DEPTH = 10_000, 2**16, 8


@dataclass(frozen=True)
class SphericalVideo:
    """What the metadata of a video says.

    Args:
        projection: The projection of its frames.
        stereo: Where the images of the two eyes are; "mono" if there is one image.
        bounds: Shares of the height and width of the sphere that are left out: top, bottom, left, right.
    """

    projection: Projection
    stereo: Stereo = "mono"
    bounds: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __str__(self) -> str:
        stereo = "" if self.stereo == "mono" else f", stereo {self.stereo}"
        return f"{self.projection}{stereo}"


def read_spherical(file: BinaryFile) -> SphericalVideo | None:
    """Read what the metadata of an MP4 or MOV file says about its sphere; None if it says nothing.

    The position of the file is changed. Nothing but the index is read, whatever the length of the file is.
    """
    index = _index(file)
    found = list(_parts(index, 0, len(index)))
    kinds = [part for part in found if isinstance(part, SphericalVideo)]
    stereo = next((part for part in found if isinstance(part, str)), None)
    if not kinds:
        return None
    return kinds[0] if stereo is None else SphericalVideo(kinds[0].projection, stereo, kinds[0].bounds)


def _index(file: BinaryFile) -> bytes:
    """The content of the box `moov`; empty if there is none."""
    file.seek(0)
    start = 0
    for _ in range(_MAX_BOXES):
        head = file.read(16)
        length, size = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, size = int.from_bytes(head[8:16], "big"), 16
        if len(head) < 8 or (0 < length < size):
            return b""
        if head[4:8] == b"moov":
            file.seek(start + size)
            return file.read(min(length - size, _MAX_INDEX) if length else _MAX_INDEX)
        if length == 0:
            return b""
        start += length
        file.seek(start)
    return b""


def _parts(data: bytes, start: int, end: int, depth: int = 0) -> Iterator[SphericalVideo | Stereo]:
    """The projections, and the arrangements of two eyes, in the boxes of an index."""
    for box in boxes(data, start, end):
        if box.kind in _CONTAINERS and depth < _MAX_DEPTH:
            yield from _parts(data, box.start, box.end, depth + 1)
        elif box.kind == b"stsd" and depth < _MAX_DEPTH:
            for entry in boxes(data, box.start + 8, box.end):
                yield from _parts(data, entry.start + _VISUAL, entry.end, _MAX_DEPTH)
        elif box.kind == b"st3d" and box.end - box.start >= 5:
            yield _STEREO.get(data[box.start + 4], "custom")
        elif box.kind == b"sv3d":
            yield from (_projection(data, part.start, part.end) for part in _named(data, box.start, box.end, b"proj"))
        elif box.kind == b"uuid" and data[box.start : box.start + 16] == _UUID:
            yield from _from_xml(data[box.start + 16 : min(box.end, box.start + _MAX_XML)])


def _named(data: bytes, start: int, end: int, kind: bytes) -> Iterator[Box]:
    return (box for box in boxes(data, start, end) if box.kind == kind)


def _projection(data: bytes, start: int, end: int) -> SphericalVideo:
    for box in boxes(data, start, end):
        if box.kind in _PROJECTIONS:
            edges = [int.from_bytes(data[at : at + 4], "big") / 2**32 for at in range(box.start + 4, box.end - 3, 4)]
            whole = box.kind != b"equi" or len(edges) < 4
            bounds = (0.0, 0.0, 0.0, 0.0) if whole else (edges[0], edges[1], edges[2], edges[3])
            return SphericalVideo(_PROJECTIONS[box.kind], "mono", bounds)
    return SphericalVideo("unknown")


def _from_xml(data: bytes) -> Iterator[SphericalVideo]:
    """The older metadata: properties of Google's namespace in XML."""
    text = data.decode("utf-8", "replace")
    groups = properties(text, lambda address, prefix: (address or "") == _NAMESPACE or prefix == "GSpherical")
    fields = {name: value for group in reversed(groups) for name, value in group.items()}
    if fields.get("Spherical", "").lower() != "true":
        return
    known = fields.get("ProjectionType", "").lower() == "equirectangular"
    projection: Projection = "equirectangular" if known else "unknown"
    modes: dict[str, Stereo] = {"mono": "mono", "top-bottom": "top-bottom", "left-right": "left-right"}
    yield SphericalVideo(projection, modes.get(fields.get("StereoMode", "mono").lower(), "custom"))
