"""Where a partial panorama is on the sphere: the GPano fields in the XMP metadata of an image.

Source: https://developers.google.com/streetview/spherical-metadata. The fields are read with regular expressions,
because an XML parser could be attacked with a malicious file.
"""

import re
from dataclasses import dataclass

from PIL import Image

from panollava_geometry._errors import PanoramaError

_MAX_PACKET = 4 * 2**20
_FIELDS = (
    "FullPanoWidthPixels",
    "FullPanoHeightPixels",
    "CroppedAreaImageWidthPixels",
    "CroppedAreaImageHeightPixels",
    "CroppedAreaLeftPixels",
    "CroppedAreaTopPixels",
)


@dataclass(frozen=True)
class CroppedArea:
    """The rectangle of the full panorama that an image shows, in pixels of the image as it was stitched."""

    full_width: int
    full_height: int
    width: int
    height: int
    left: int
    top: int

    @property
    def is_whole(self) -> bool:
        """Whether the image shows the full sphere."""
        return (self.width, self.height) == (self.full_width, self.full_height)


def read_cropped_area(image: Image.Image, name: str) -> CroppedArea | None:
    """Read the cropped area of an image. None if the image has no such metadata, or shows the full sphere.

    Raises:
        PanoramaError: The fields contradict each other, or the projection is not equirectangular.
    """
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    if not packet and hasattr(image, "tag_v2"):
        packet = image.tag_v2.get(700, b"")
    text = packet if isinstance(packet, str) else bytes(packet[:_MAX_PACKET]).decode("utf-8", "replace")
    if "GPano" not in text:
        return None
    projection = _field(text, "ProjectionType")
    if projection is not None and projection.strip().lower() != "equirectangular":
        raise PanoramaError(
            f"{name}: the GPano projection is {projection[:40]!r}; convert the image to equirectangular first"
        )
    values = [_field(text, field) for field in _FIELDS]
    if any(value is None for value in values):
        return None
    try:
        area = CroppedArea(*(round(float(value or "")) for value in values))
    except (ValueError, OverflowError) as error:
        raise PanoramaError(
            f"{name}: the GPano fields are not numbers ({error}); remove or repair the XMP metadata"
        ) from error
    inside = (
        area.width >= 1
        and area.height >= 1
        and 0 <= area.left <= area.full_width - area.width
        and 0 <= area.top <= area.full_height - area.height
    )
    if not inside or abs(area.full_width - 2 * area.full_height) > 2:
        raise PanoramaError(
            f"{name}: the GPano fields contradict each other (a {area.width}x{area.height} area at "
            f"({area.left}, {area.top}) of a {area.full_width}x{area.full_height} sphere); "
            "remove or repair the XMP metadata"
        )
    return None if area.is_whole else area


def _field(text: str, name: str) -> str | None:
    found = re.search(
        rf"GPano:{name}\s*=\s*[\"']([^\"'<]{{0,64}})[\"']|<GPano:{name}>([^<]{{0,64}})</GPano:{name}>", text
    )
    return None if found is None else next(group for group in found.groups() if group is not None)
