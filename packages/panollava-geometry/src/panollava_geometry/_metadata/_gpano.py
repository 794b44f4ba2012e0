"""Where a partial panorama is on the sphere: the GPano fields in the XMP metadata of an image.

Source: https://developers.google.com/streetview/spherical-metadata.
"""

import re
import warnings
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from panollava_geometry._errors import PanoramaError, PanoramaWarning
from panollava_geometry._metadata._shape import Extent, not_full_sphere
from panollava_geometry._sources._xmp import packets, properties

_ADDRESS = "ns.google.com/photos/1.0/panorama"
_REMEDY = (
    "repair or remove the XMP metadata, or say what the image shows: hfov_deg (--hfov DEGREES) or whole_sphere=True "
    "(--whole-sphere)"
)
_MAX_SIDE = 10**9
_SIZES = (
    "FullPanoWidthPixels",
    "FullPanoHeightPixels",
    "CroppedAreaImageWidthPixels",
    "CroppedAreaImageHeightPixels",
)
_FIELDS = (*_SIZES, "CroppedAreaLeftPixels", "CroppedAreaTopPixels")


@dataclass(frozen=True)
class CroppedArea:
    """The rectangle of the full panorama that an image shows, in pixels of the image as it was stitched."""

    full_width: float | int
    full_height: float | int
    width: float | int
    height: float | int
    left: float | int
    top: float | int

    @property
    def is_whole(self) -> bool:
        """Whether the image shows the full sphere."""
        return (self.width, self.height) == (self.full_width, self.full_height)

    def fits(self, size: Extent) -> bool:
        """Whether an image of `size` (width, height) has the shape of the area, to 1 %."""
        return abs(size[0] * self.height - size[1] * self.width) <= 0.01 * size[0] * self.height


def read_cropped_area(image: Image.Image, name: str, size: Extent, *, is_full: bool) -> CroppedArea | None:
    """Read the cropped area of an image. None if the image has no such metadata, or shows the full sphere.

    Args:
        image: An open image.
        name: Its name in messages.
        size: Its width and height when it is upright.
        is_full: Whether its shape is that of a full panorama. Metadata that says nothing is then ignored, with a
            `PanoramaWarning`.

    Raises:
        PanoramaError: The fields are incomplete or contradict each other, or the projection is not equirectangular.
    """
    groups = gpano_groups(image)
    if not groups:
        return None
    _check_projection(groups, name)
    fields = _first_complete(groups)
    numbers = {field: value for field in _FIELDS if (value := _number(fields.get(field, ""))) is not None}
    missing = [field for field in _FIELDS if field not in fields]
    if len(missing) == len(_FIELDS):
        return None
    empty = not any(re.search("[1-9]", fields[field]) for field in _FIELDS if field in fields)
    if not missing and not empty and len(numbers) < len(_FIELDS):
        wrong = next(field for field in _FIELDS if field not in numbers)
        raise PanoramaError(
            f"{name}: the GPano fields are not numbers of pixels ({wrong} is {fields[wrong][:40]!r}); {_REMEDY}"
        )
    if missing or empty or _says_nothing(numbers):
        problem = "GPano metadata " + (f"lacks {', '.join(missing)}" if missing else "has sizes that are not positive")
        if not is_full:
            raise not_full_sphere(name, size, f"its {problem}")
        if not missing or _says_part(numbers):
            warnings.warn(
                PanoramaWarning(f"{name}: its {problem}; the image is 2:1 and is read as the full sphere"), stacklevel=2
            )
        return None
    _check(numbers, name)
    area = CroppedArea(*(numbers[field] for field in _FIELDS))
    return None if area.is_whole else area


def gpano_groups(image: Image.Image) -> list[dict[str, str]]:
    """The GPano fields of an image as text: one dictionary per description that has such fields, in order."""
    return [
        group
        for text in packets(image)
        if "GPano" in text or "panorama" in text
        for group in properties(text, _is_gpano)
    ]


def _is_gpano(address: str | None, prefix: str) -> bool:
    """Whether a namespace is Google's, whatever its prefix. The usual prefix is also accepted without a declaration."""
    if address is None:
        return prefix.lower() == "gpano"
    return address.strip().lower().partition("://")[2].rstrip("/#") == _ADDRESS


def _check_projection(groups: list[dict[str, str]], name: str) -> None:
    for group in groups:
        projection = group.get("ProjectionType", "equirectangular")
        if projection.lower() != "equirectangular":
            raise PanoramaError(
                f"{name}: the GPano projection is {projection[:40]!r}; convert the image to equirectangular first"
            )


def _first_complete(groups: list[dict[str, str]]) -> Mapping[str, str]:
    """The first group with all fields, and sizes that say something; else all groups together."""
    complete = [group for group in groups if all(field in group for field in _FIELDS)]
    for group in complete:
        if all((_number(group[field]) or 0) > 0 for field in _SIZES):
            return group
    return complete[0] if complete else ChainMap(*groups)


def _number(text: str) -> int | None:
    """A field as a whole number; None if it is not a number of pixels."""
    try:
        value = float(text)
    except ValueError:
        return None
    return round(value) if abs(value) <= _MAX_SIDE else None


def _says_nothing(numbers: Mapping[str, int]) -> bool:
    """Whether a size is zero or negative: some programs write the fields before they know the values."""
    return any(numbers.get(field, 1) < 1 for field in _SIZES)


def _says_part(numbers: Mapping[str, int]) -> bool:
    """Whether the sizes that are given say that the image is not the full sphere."""
    full_width, full_height, width, height = (numbers.get(field) for field in _SIZES)
    return (full_width is not None and width is not None and width < full_width) or (
        full_height is not None and height is not None and height < full_height
    )


def _check(numbers: Mapping[str, int], name: str) -> None:
    """Check that the area is inside a sphere that is twice as wide as high.

    Raises:
        PanoramaError: It is not. The message names the fields.
    """
    full_width, full_height, width, height, left, top = (numbers[field] for field in _FIELDS)
    contradiction = ""
    if abs(full_width - 2 * full_height) > max(2, 0.005 * full_width):
        contradiction = f"FullPanoHeightPixels ({full_height}) must be half of FullPanoWidthPixels ({full_width})"
    elif left < 0 or top < 0:
        contradiction = f"CroppedAreaLeftPixels ({left}) and CroppedAreaTopPixels ({top}) must not be negative"
    elif left + width > full_width:
        contradiction = (
            f"CroppedAreaLeftPixels + CroppedAreaImageWidthPixels ({left} + {width}) "
            f"must be at most FullPanoWidthPixels ({full_width})"
        )
    elif top + height > full_height:
        contradiction = (
            f"CroppedAreaTopPixels + CroppedAreaImageHeightPixels ({top} + {height}) "
            f"must be at most FullPanoHeightPixels ({full_height})"
        )
    if contradiction:
        raise PanoramaError(f"{name}: the GPano fields contradict each other: {contradiction}; {_REMEDY}")
