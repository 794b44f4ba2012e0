"""`GPano`: all GPano fields of an image, and the XMP packet that holds them.

Source: https://developers.google.com/streetview/spherical-metadata.
"""

import math
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from PIL import Image

from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._metadata._gpano import gpano_groups
from panollava_geometry._metadata._shape import Extent

_NAMESPACE = "http://ns.google.com/photos/1.0/panorama/"
#: Angles: the attribute, its smallest and its largest value. Headings outside are turned by full circles instead.
_ANGLES = {
    "PoseHeadingDegrees": ("pose_heading_deg", 0.0, 360.0),
    "PosePitchDegrees": ("pose_pitch_deg", -90.0, 90.0),
    "PoseRollDegrees": ("pose_roll_deg", -180.0, 180.0),
    "InitialViewHeadingDegrees": ("initial_heading_deg", 0.0, 360.0),
    "InitialViewPitchDegrees": ("initial_pitch_deg", -90.0, 90.0),
    "InitialViewRollDegrees": ("initial_roll_deg", -180.0, 180.0),
    "InitialHorizontalFOVDegrees": ("initial_hfov_deg", 0.0, 360.0),
}
_TEXTS = {
    "ProjectionType": "projection",
    "CaptureSoftware": "capture_software",
    "StitchingSoftware": "stitching_software",
    "FirstPhotoDate": "first_photo_date",
    "LastPhotoDate": "last_photo_date",
}
_FLAGS = {"UsePanoramaViewer": "use_viewer", "ExposureLockUsed": "exposure_locked"}
_FULL = ("FullPanoWidthPixels", "FullPanoHeightPixels")
_AREA = ("CroppedAreaLeftPixels", "CroppedAreaTopPixels", "CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels")
_INTERIOR = (
    "LargestValidInteriorRectLeft",
    "LargestValidInteriorRectTop",
    "LargestValidInteriorRectWidth",
    "LargestValidInteriorRectHeight",
)
_MAX_PIXELS, _MAX_PHOTOS = 10**9, 10**6
Angle = float | int | None
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class GPano:
    """The GPano metadata of an image. None stands for a field that the image does not have.

    Args:
        full_size: Width and height of the full sphere in pixels.
        area: Left, top, width and height of the part of the sphere that the image shows, in pixels.
        projection: The projection, such as "equirectangular".
        pose_heading_deg: Compass heading of the centre of the sphere, in degrees clockwise from north.
        pose_pitch_deg: How far the camera looked up, in degrees.
        pose_roll_deg: How far the camera was turned clockwise, in degrees.
        initial_heading_deg: Compass heading at which a viewer begins, in degrees.
        initial_pitch_deg: Pitch at which a viewer begins, in degrees.
        initial_roll_deg: Roll at which a viewer begins, in degrees.
        initial_hfov_deg: Horizontal field of view with which a viewer begins, in degrees.
        capture_software: The program that took the photographs.
        stitching_software: The program that stitched them.
        first_photo_date: When the first photograph was taken, as text.
        last_photo_date: When the last photograph was taken, as text.
        source_photos: Number of photographs.
        interior: Left, top, width and height of the largest rectangle without empty pixels.
        use_viewer: Whether the image is to be shown in a panorama viewer.
        exposure_locked: Whether all photographs have the same exposure.
        unreadable: Names of fields that the image has, with values that are not of their kind. They are not written.

    Raises:
        PanoramaError: An angle is not a number in its range, or a size is not positive.

    Example:
        >>> from panollava_geometry.files import GPano
        >>> GPano(pose_heading_deg=90.0).pose
        (90.0, 0.0, 0.0)
    """

    full_size: Extent | None = None
    area: Box | None = None
    projection: str | None = None
    pose_heading_deg: Angle = None
    pose_pitch_deg: Angle = None
    pose_roll_deg: Angle = None
    initial_heading_deg: Angle = None
    initial_pitch_deg: Angle = None
    initial_roll_deg: Angle = None
    initial_hfov_deg: Angle = None
    capture_software: str | None = None
    stitching_software: str | None = None
    first_photo_date: str | None = None
    last_photo_date: str | None = None
    source_photos: int | None = None
    interior: Box | None = None
    use_viewer: bool | None = None
    exposure_locked: bool | None = None
    unreadable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, (name, low, high) in _ANGLES.items():
            value = getattr(self, name)
            if value is not None and _angle(value, low, high) is None:
                raise PanoramaError(
                    f"GPano.{name} ({field}) must be a number of degrees in [{low:g}, {high:g}], got {short(value)}"
                )
        for name, count in (("full_size", 2), ("area", 4), ("interior", 4)):
            value = getattr(self, name)
            if value is not None and not _are_pixels(value, count):
                raise PanoramaError(f"GPano.{name} must be {count} whole numbers of pixels, got {short(value)}")

    @property
    def pose(self) -> tuple[float | int, float | int, float | int] | None:
        """Heading, pitch and roll of the camera in degrees, 0 for those that are missing; None if all are missing."""
        angles = (self.pose_heading_deg, self.pose_pitch_deg, self.pose_roll_deg)
        if all(angle is None for angle in angles):
            return None
        heading, pitch, roll = (angle or 0.0 for angle in angles)
        return heading, pitch, roll

    def to_xmp(self) -> bytes:
        """The XMP packet with these fields, UTF-8."""
        fields: dict[str, object] = {}
        for names, values in ((_FULL, self.full_size), (_AREA, self.area), (_INTERIOR, self.interior)):
            fields |= dict(zip(names, values, strict=True)) if values is not None else {}
        fields |= {field: getattr(self, name) for field, name in _TEXTS.items()}
        fields |= {field: getattr(self, name) for field, (name, _, _) in _ANGLES.items()}
        fields |= {field: getattr(self, name) for field, name in _FLAGS.items()}
        fields["SourcePhotosCount"] = self.source_photos
        attributes = "".join(
            f'\n   GPano:{name}="{_text(value)}"' for name, value in fields.items() if value is not None
        )
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
            ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
            f'  <rdf:Description rdf:about="" xmlns:GPano="{_NAMESPACE}"{attributes}/>\n'
            ' </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="r"?>'
        ).encode()


def read_gpano(image: Image.Image) -> GPano | None:
    """Read all GPano fields of an open image; None if it has none.

    A field that is not of its kind is left out and named in `unreadable`. Where several packets have a field, the first
    counts. The fields of the area are checked by `load_equirectangular` only.
    """
    fields: Mapping[str, str] = ChainMap(*gpano_groups(image))
    found: dict[str, object] = {name: fields[field] for field, name in _TEXTS.items() if field in fields}
    unreadable = []
    for field, (name, low, high) in _ANGLES.items():
        if field in fields:
            found[name] = _angle(fields[field], low, high)
            unreadable += [field] if found[name] is None else []
    for field, name in _FLAGS.items():
        if field in fields:
            found[name] = {"true": True, "1": True, "false": False, "0": False}.get(fields[field].lower())
            unreadable += [field] if found[name] is None else []
    for name, parts in (("full_size", _FULL), ("area", _AREA), ("interior", _INTERIOR)):
        numbers = [_whole(fields.get(field, ""), _MAX_PIXELS) for field in parts]
        if None not in numbers and _are_pixels(tuple(numbers), len(parts)):
            found[name] = tuple(numbers)
        else:
            unreadable += [field for field in parts if field in fields]
    if "SourcePhotosCount" in fields:
        found["source_photos"] = _whole(fields["SourcePhotosCount"], _MAX_PHOTOS)
        unreadable += ["SourcePhotosCount"] if found["source_photos"] is None else []
    if not found and not unreadable:
        return None
    return GPano(**found, unreadable=tuple(unreadable))  # type: ignore[arg-type]


def _angle(value: object, low: float, high: float) -> float | None:
    """A number of degrees in [low, high]; None for anything else. A heading is turned by full circles into [0, 360)."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    if isinstance(value, str) and (low, high) == (0.0, 360.0) and not 0 <= number < 360:
        number %= 360
    return number if low <= number <= high else None


def _whole(text: str, most: int) -> int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return round(number) if 0 <= number <= most else None


def _are_pixels(values: object, count: int) -> bool:
    """Whether values are a rectangle (left, top, width, height) or a size (width, height) of whole pixels."""
    return (
        isinstance(values, tuple)
        and len(values) == count
        and all(isinstance(value, int) and 0 <= value <= _MAX_PIXELS for value in values)
        and all(value > 0 for value in values[-2:])
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float | int):
        return f"{value:.10g}"
    printable = "".join(letter if letter.isprintable() else " " for letter in str(value)[:256])
    return escape(printable, quote=True)
