"""The EXIF orientation of an image. Pixels are turned by its number alone; EXIF is never written."""

import re
import warnings

from PIL import Image

from panollava_geometry._errors import PanoramaWarning, one_line, short
from panollava_geometry._sources._quiet import quiet_pillow

_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_FOCAL_LENGTH_35MM = 0xA405
#: Keys of `Image.info` in which Pillow looks for the orientation.
_SOURCES = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_orientation(image: Image.Image, name: str) -> int:
    """The EXIF orientation of an image, 1 to 8; 1 if it has none.

    EXIF is written by many programs and damaged by some. It never prevents reading: if it cannot be parsed, or the
    orientation is not one of the eight numbers, the image is used as it is stored, with a `PanoramaWarning`.
    """
    if not (_SOURCES & image.info.keys() or hasattr(image, "tag_v2") or getattr(image, "_exif", None)):
        return 1  # Pillow would find none; this is the usual case, and saves time
    try:
        _check_head(image.info.get("exif"))
        with quiet_pillow():
            value = _as_number(image.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # Pillow raises many kinds of exceptions on damaged EXIF
        _note(name, f"its EXIF cannot be read ({one_line(error)})")
        return 1
    if isinstance(value, int) and 1 <= value <= 8:
        return value
    _note(name, f"its EXIF orientation is {short(value)}, expected a number from 1 to 8")
    return 1


def _as_number(value: object) -> object:
    """A whole number that was stored as another type (a rational, bytes, text) as an `int`; others as they are."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes) and len(value) == 1:
        return value[0]
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value
    return int(number) if number.is_integer() else value


def _check_head(exif: object) -> None:
    """Check how EXIF begins. Pillow reports this only once, and may have suppressed it when it opened the file."""
    body = re.sub(b"^(Exif\0\0){1,2}", b"", exif[:64]) if exif and isinstance(exif, bytes) else b""
    if body and body[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        raise ValueError(f"it begins with {body[:8]!r}")


def read_focal_length(image: Image.Image) -> float | None:
    """The focal length on 35 mm film in millimetres, from EXIF; None if it is missing or cannot be read."""
    try:
        with quiet_pillow():
            return float(image.getexif().get_ifd(_EXIF_IFD)[_FOCAL_LENGTH_35MM])
    except Exception:  # as above; the caller says which field of view it assumes
        return None


def swaps_sides(orientation: int) -> bool:
    """Whether an orientation swaps width and height."""
    return orientation >= 5


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """The upright image; the same object if it is stored upright."""
    return image if orientation == 1 else image.transpose(_TURNS[orientation])


def turn_back(image: Image.Image, orientation: int) -> Image.Image:
    """The inverse of `turn`."""
    return turn(image, {6: 8, 8: 6}.get(orientation, orientation))


def _note(name: str, problem: str) -> None:
    warnings.warn(PanoramaWarning(f"{name}: {problem}; the image is used as it is stored"), stacklevel=3)
