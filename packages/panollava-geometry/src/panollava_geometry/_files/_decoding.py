"""Decode an image to a full panorama, no finer than needed."""

import contextlib
import math
import warnings

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image

from panollava_geometry._errors import PanoramaError, PanoramaWarning, boundary
from panollava_geometry._files._placement import centred_area, place
from panollava_geometry._files._rgb import check_range, to_rgb
from panollava_geometry._metadata._appearance import edges_meet, note_appearance
from panollava_geometry._metadata._gpano import CroppedArea, read_cropped_area
from panollava_geometry._metadata._layout import AUTOMATIC, Layout, short_side_deg
from panollava_geometry._metadata._orientation import read_focal_length, read_orientation, swaps_sides, turn, turn_back
from panollava_geometry._metadata._shape import Extent, is_full_sphere, not_full_sphere, stereo_halves
from panollava_geometry._sources._formats import JPEG_FORMATS
from panollava_geometry._sources._quiet import quiet_libtiff
from panollava_geometry._sources._source import check_pixels

#: A panorama, its mask, and its width and height before it was reduced.
Decoded = tuple[UInt8[ndarray, "height width 3"], Bool[ndarray, "height width"] | None, Extent]
_ORIENTATION_TAG = 274


def decode(
    image: Image.Image,
    name: str,
    width: int | None,
    *,
    from_file: bool,
    layout: Layout = AUTOMATIC,
    with_notes: bool = True,
) -> Decoded:
    """Decode an open image to a full panorama.

    Args:
        image: The image.
        name: Its name in messages.
        width: Width that the panorama needs. A wider image may be reduced to a width that is at least this.
        from_file: The image was opened here. A JPEG file is then decoded at a reduced scale, others are reduced by a
            whole factor, and an image that does not look like a panorama gets a `PanoramaWarning`.
        layout: What the user says the image shows.
        with_notes: Whether to warn about an image that does not look like a panorama.

    Returns:
        The panorama `[H, 2H, 3]`, a mask that is False where the image shows nothing (None: nowhere), and the width and
        height of the panorama at the image's own resolution.

    Raises:
        PanoramaError: The image is damaged, not a panorama, or has invalid GPano metadata or pixels of unknown range.
    """
    scaled = from_file and image.format in JPEG_FORMATS
    if image.format == "TIFF":
        quiet_libtiff()
    turned_tag = image.tag_v2.get(_ORIENTATION_TAG, 1) if hasattr(image, "tag_v2") else 1
    if not scaled:  # other formats may have metadata behind the pixels; a TIFF is turned by Pillow
        with _decoding(name):
            image.load()
    image, orientation, area = _arrange(image, name, layout, turned_tag)
    full_size = _turned(image.size, orientation)
    if layout.hfov_deg is not None:
        area = centred_area(full_size, layout.hfov_deg, name)
    halves = stereo_halves(full_size) if layout.eye else None
    focal_length = read_focal_length(image) if layout.is_partial and area is None else None
    with _decoding(name):
        image = _reduced(image, _needed(width, area, halves), orientation, scaled=scaled, from_file=from_file)
        image = turn(image, orientation)
    rgb, mask = to_rgb(image, name)
    if halves is not None:
        rgb, mask = _half(rgb, mask, halves, second=layout.eye == "right")
    if layout.is_partial and area is None:
        area = _estimated_area(rgb, full_size, focal_length, name)
    if area is not None and not area.is_whole:
        height = max(1, round(area.full_width * full_size[0] / area.width / 2))
        return *place(rgb, mask, area, name, width), (2 * height, height)
    any_shape = layout.whole_sphere and not is_full_sphere(full_size)
    height = _full_height(full_size if halves is None else _half_size(full_size, halves), any_shape=any_shape)
    panorama, mask = _full(rgb, mask, name, any_shape=any_shape)
    if with_notes and from_file and mask is None and not layout.is_given:
        note_appearance(panorama, name, full_size)
    return panorama, mask, (2 * height, height)


def sphere_size(image: Image.Image, name: str, turned_tag: object = 1) -> Extent:
    """Width and height of the full sphere that an open image shows, without decoding it.

    Args:
        image: The image.
        name: Its name in messages.
        turned_tag: The EXIF orientation by which Pillow has turned it.

    Raises:
        PanoramaError: It is not a panorama, or its pixels are of unknown range.
    """
    arranged, orientation, area = _arrange(image, name, AUTOMATIC, turned_tag)
    check_range(arranged, name)
    full_size = _turned(arranged.size, orientation)
    if area is not None and not area.is_whole:
        full_size = (round(area.full_width), 0)
    height = _full_height(full_size, any_shape=False)
    return 2 * height, height


def _decoding(name: str) -> contextlib.AbstractContextManager[None]:
    return boundary(f"{name}: the image cannot be decoded", "the file is damaged or incomplete")


def _turned(size: Extent, orientation: int) -> Extent:
    return size[::-1] if swaps_sides(orientation) else size


def _arrange(
    image: Image.Image, name: str, layout: Layout, turned_tag: object
) -> tuple[Image.Image, int, CroppedArea | None]:
    """The image as stored, its orientation (1 if that is left over from other images), and its area.

    Editors that stitch an upright panorama sometimes copy the orientation of the source photographs. If the image is a
    panorama as stored, and not when it is turned, the orientation is ignored.

    Raises:
        PanoramaError: The image has the shape of a panorama neither as stored nor turned.
    """
    orientation = read_orientation(image, name)
    size = _turned(image.size, orientation)
    by_pillow = turned_tag if isinstance(turned_tag, int) and 5 <= turned_tag <= 8 and orientation == 1 else 1
    stale = by_pillow if by_pillow != 1 else orientation if swaps_sides(orientation) else 1
    area = None
    if not layout.is_given:
        is_full = is_full_sphere(size) or (stale != 1 and is_full_sphere(size[::-1]))
        area = read_cropped_area(image, name, size, is_full=is_full)
    if _fits(size, area, layout):
        return image, orientation, area
    if stale != 1 and _fits(size[::-1], area, layout):
        warnings.warn(
            PanoramaWarning(
                f"{name}: the EXIF orientation {stale} would make the image {size[0]}x{size[1]}; "
                f"it is a panorama as it is stored ({size[1]}x{size[0]}) and is not turned"
            ),
            stacklevel=2,
        )
        return (image if by_pillow == 1 else turn_back(image, by_pillow)), 1, area
    remark = f"after turning it by its EXIF orientation {stale}" if stale != 1 else ""
    if area is not None:
        raise PanoramaError(
            f"{name}: the image is {size[0]}x{size[1]}{remark and f' {remark}'}, but its GPano metadata says "
            f"{area.width}x{area.height}; remove or repair the XMP metadata, or say what the image shows: hfov_deg "
            "(--hfov DEGREES) or whole_sphere=True (--whole-sphere)"
        )
    if layout.eye:
        raise PanoramaError(
            f"{name}: {size[0]}x{size[1]} is not a stereo panorama, whose two halves are 2:1 each: top-bottom (1:1) or "
            "side-by-side (4:1); pass no eye (--eye)"
        )
    raise not_full_sphere(name, size, remark)


def _fits(size: Extent, area: CroppedArea | None, layout: Layout) -> bool:
    if layout.eye:
        return stereo_halves(size) is not None
    if layout.is_partial:
        return True
    if layout.whole_sphere:  # of any shape
        return is_full_sphere(size) or not is_full_sphere(size[::-1])
    return is_full_sphere(size) if area is None else area.fits(size)


def _needed(width: int | None, area: CroppedArea | None, halves: str | None) -> int | None:
    """The width that the image needs if the panorama needs `width`."""
    if width is None:
        return None
    if halves == "side-by-side":
        return 2 * width
    return math.ceil(width * area.width / area.full_width) if area else width


def _reduced(image: Image.Image, width: int | None, orientation: int, *, scaled: bool, from_file: bool) -> Image.Image:
    """The decoded image, at a width that is at least `width`, as it is stored."""
    if width is None or not from_file:
        image.load()
        return image
    full_width, full_height = _turned(image.size, orientation)
    if scaled:
        image.draft(None, _turned((width, math.ceil(width * full_height / full_width)), orientation))
    image.load()
    factor = _turned(image.size, orientation)[0] // max(width, 1)
    if factor >= 2 and image.mode in ("L", "RGB", "RGBA", "CMYK", "LA"):
        info = image.info
        image = image.reduce(factor)
        image.info = info
    return image


def _half(rgb: Image.Image, mask: ndarray | None, halves: str, *, second: bool) -> tuple[Image.Image, ndarray | None]:
    """One eye of a stereo image. The left eye is above, or on the left."""
    width, height = rgb.size
    if halves == "top-bottom":
        box = (0, height - height // 2, width, height) if second else (0, 0, width, height // 2)
    else:
        box = (width - width // 2, 0, width, height) if second else (0, 0, width // 2, height)
    left, top, right, bottom = box
    return rgb.crop(box), None if mask is None else mask[top:bottom, left:right]


def _half_size(size: Extent, halves: str) -> Extent:
    """Width and height of one eye of a stereo image."""
    return (size[0], size[1] // 2) if halves == "top-bottom" else (size[0] // 2, size[1])


def _estimated_area(rgb: Image.Image, size: Extent, focal_length: float | None, name: str) -> CroppedArea:
    """The area of a partial panorama of unknown field of view, with a `PanoramaWarning` that says what is assumed."""
    short_side = short_side_deg(focal_length)
    source = "usual for a telephone" if focal_length is None else f"from its EXIF focal length of {focal_length:g} mm"
    if size[0] >= 3 * size[1] and edges_meet(_to_array(rgb)):
        hfov, reason = 360.0, "its left and right edges meet"
    else:
        hfov = min(360.0, short_side * size[0] / min(size))
        reason = f"its short side is taken to be {short_side:.0f}°, {source}"
    hfov = min(hfov, 180 * size[0] / size[1])
    warnings.warn(
        PanoramaWarning(
            f"{name}: the horizontal field of view is not known; {hfov:.0f}° is assumed, because {reason}; "
            "pass hfov_deg (--hfov DEGREES) if you know it"
        ),
        stacklevel=2,
    )
    return centred_area(size, hfov, name)


def _full_height(size: Extent, *, any_shape: bool) -> int:
    """Height of the full sphere of an image. One that is not 2:1 keeps the resolution of both sides."""
    return max(round(size[0] / 2), size[1] if any_shape else 0)


def _full(
    rgb: Image.Image, mask: ndarray | None, name: str, *, any_shape: bool
) -> tuple[UInt8[ndarray, "height width 3"], Bool[ndarray, "height width"] | None]:
    """The full sphere, exactly 2:1."""
    height = _full_height(rgb.size, any_shape=any_shape)
    if any_shape:
        check_pixels(name, 2 * height, height)
    if rgb.size != (2 * height, height):  # a scaled decode rounds the size
        rgb = rgb.resize((2 * height, height), Image.Resampling.BILINEAR)
        if mask is not None:
            mask = np.asarray(Image.fromarray(mask).resize((2 * height, height), Image.Resampling.NEAREST))
    return _to_array(rgb), mask


def _to_array(rgb: Image.Image) -> UInt8[ndarray, "height width 3"]:
    """The pixels as a writable array. Twice as fast as `numpy.array(rgb)`."""
    return np.frombuffer(bytearray(rgb.tobytes()), np.uint8).reshape(rgb.size[1], rgb.size[0], 3)
