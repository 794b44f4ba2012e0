"""`panorama_info` and `is_panorama`: what a file is, without loading it in full."""

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from PIL import Image, UnidentifiedImageError

from panollava_geometry._errors import PanoramaError, boundary
from panollava_geometry._files._colour_profile import profile_name
from panollava_geometry._files._decoding import decode
from panollava_geometry._metadata._appearance import look
from panollava_geometry._metadata._orientation import read_orientation
from panollava_geometry._metadata._panorama_metadata import GPano, read_gpano
from panollava_geometry._metadata._shape import is_full_sphere, not_full_sphere
from panollava_geometry._sources._file_kinds import HEAD, file_kind
from panollava_geometry._sources._source import BinaryFile, FileSource, open_file, open_image, source_name

if TYPE_CHECKING:
    from panollava_geometry._metadata._spherical_video import SphericalVideo

Kind = Literal["full sphere", "part of the sphere", "dual fisheye", "not a panorama"]
#: Width at which an image is looked at.
_LOOK = 512


@dataclass(frozen=True)
class PanoramaInfo:
    """What a file is.

    Args:
        name: The file, in messages.
        format: Pillow's name of the format, "Radiance", "OpenEXR" or "video (…)".
        size: Width and height in pixels, as stored.
        mode: Pillow's name of the kind of pixels, such as "RGB"; of a video, its codec, length and rate.
        kind: What the image shows.
        reason: Why it is not a full panorama, or which eyes it has; empty if it is one full panorama.
        panorama_size: Width and height of the full sphere at this resolution; None if it is not a panorama.
        orientation: The EXIF orientation, 1 to 8.
        profile: Description of the embedded colour profile; None if there is none.
        gpano: The GPano metadata; None if there is none.
    """

    name: str
    format: str
    size: tuple[int, int]
    mode: str
    kind: Kind
    reason: str
    panorama_size: tuple[int, int] | None
    orientation: int
    profile: str | None
    gpano: GPano | None

    @property
    def is_panorama(self) -> bool:
        """Whether the image is the full sphere, or says which part of it is shown."""
        return self.kind in ("full sphere", "part of the sphere")


def panorama_info(source: FileSource) -> PanoramaInfo:
    """Report what a file is: its format, what it shows, its metadata. JPEG files are decoded at a small scale.

    Args:
        source: Path, http(s) URL, bytes or binary file object.

    Raises:
        PanoramaError: The file is missing, damaged, too large, or neither an image nor a video, or a library for its
            format is not installed.

    Warns:
        PanoramaWarning: Its metadata cannot be used.

    Example:
        >>> from PIL import Image
        >>> import io
        >>> from panollava_geometry.files import panorama_info
        >>> Image.new("RGB", (300, 200)).save(file := io.BytesIO(), "PNG")
        >>> panorama_info(file.getvalue()).kind
        'not a panorama'
    """
    name = source_name(source)
    with contextlib.ExitStack() as stack:
        file = open_file(source, name, stack)
        other = _not_of_pillow(file, name)
        if other is not None:
            return other
        image = stack.enter_context(open_image(file, name))
        image_format, size, mode = image.format or "", image.size, image.mode
        kind, reason, panorama_size = _classify(image, name)
        return PanoramaInfo(
            name=name,
            format=image_format,
            size=size,
            mode=mode,
            kind=kind,
            reason=reason,
            panorama_size=panorama_size,
            orientation=read_orientation(image, name),
            profile=profile_name(image.info.get("icc_profile")),
            gpano=read_gpano(image),
        )


def is_panorama(source: FileSource) -> bool:
    """Whether a file is an equirectangular panorama: the full sphere, or a part of it with GPano metadata.

    An image that is 2:1 must also look like one, unless GPano metadata says that it is: its left and right edges meet,
    and it is not two circles. Of ordinary photographs cropped to 2:1, about 1 of 20 is taken for a panorama. Files that
    are not images are none.

    Args:
        source: Path, http(s) URL, bytes or binary file object.

    Raises:
        PanoramaError: The file is missing, or is a damaged image.

    Example:
        >>> from PIL import Image
        >>> from panollava_geometry import is_panorama
        >>> import io
        >>> Image.new("RGB", (256, 128)).save(file := io.BytesIO(), "PNG")
        >>> is_panorama(file.getvalue())
        True
    """
    try:
        return panorama_info(source).is_panorama
    except PanoramaError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            return False
        raise


def _not_of_pillow(file: BinaryFile, name: str) -> PanoramaInfo | None:
    """What a float image or a video is; None for other files."""
    with boundary(f"{name}: the file cannot be read", "get the file again"):
        file.seek(0)
        kind = file_kind(file.read(HEAD))
        file.seek(0)
    if kind in ("radiance", "exr"):
        from panollava_geometry._files._hdr import hdr_size, read_hdr  # imports torch, which other files do not need

        data, _ = read_hdr(file, name)
        size = hdr_size(data, kind, name)
        return _by_shape(name, "Radiance" if kind == "radiance" else "OpenEXR", size, "float RGB")
    if kind in ("mp4", "matroska", "avi"):
        from panollava_geometry._files._video import video_info

        video = video_info(file, name)
        length = "" if video.seconds is None else f", {video.seconds:.2f} s"
        rate = "" if video.frames_per_second is None else f", {video.frames_per_second:.5g} frames/s"
        says = "" if video.spherical is None else f", {video.spherical} by its metadata"
        found = _by_shape(name, f"video ({video.format})", video.size, f"{video.codec}{length}{rate}{says}")
        return found if video.spherical is None else _by_metadata(found, video.spherical)
    return None


def _by_shape(name: str, image_format: str, size: tuple[int, int], mode: str) -> PanoramaInfo:
    """The report on a file whose shape alone says whether it is a panorama."""
    full = is_full_sphere(size)
    reason = "" if full else str(not_full_sphere(name, size)).removeprefix(f"{name}: ")
    return PanoramaInfo(
        name=name,
        format=image_format,
        size=size,
        mode=mode,
        kind="full sphere" if full else "not a panorama",
        reason=reason,
        panorama_size=(2 * round(size[0] / 2), round(size[0] / 2)) if full else None,
        orientation=1,
        profile=None,
        gpano=None,
    )


def _by_metadata(found: PanoramaInfo, spherical: "SphericalVideo") -> PanoramaInfo:
    """The report on a video whose metadata says what it shows."""
    width, height = found.size
    if spherical.projection != "equirectangular":
        reason = f"its metadata says that the projection is {spherical.projection}"
        return replace(found, kind="not a panorama", reason=reason, panorama_size=None)
    if spherical.stereo == "top-bottom":
        height //= 2
    elif spherical.stereo == "left-right":
        width //= 2
    if spherical.stereo == "custom":
        return replace(found, kind="not a panorama", reason="its two eyes are arranged in an unknown way")
    top, bottom, left, right = spherical.bounds
    whole = (top, bottom, left, right) == (0.0, 0.0, 0.0, 0.0)
    full_width = round(width / max(1 - left - right, 1e-6)) if not whole else max(width, 2 * height)
    kind: Kind = "full sphere" if whole else "part of the sphere"
    reason = "" if spherical.stereo == "mono" else f"stereo {spherical.stereo}; choose an eye"
    half = round(full_width / 2)
    return replace(found, kind=kind, reason=reason, panorama_size=(2 * half, half))


def _classify(image: Image.Image, name: str) -> tuple[Kind, str, tuple[int, int] | None]:
    """What an open image shows, why it is not a full panorama, and the size of the sphere."""
    size = image.size
    try:
        panorama, mask, full_size = decode(image, name, _LOOK, from_file=True, with_notes=False)
    except PanoramaError as error:
        if error.__cause__ is not None:  # of the decoder: the image is damaged
            raise
        return "not a panorama", str(error).removeprefix(f"{name}: "), None
    gpano = read_gpano(image)
    says = gpano is not None and gpano.area is not None
    if mask is not None and gpano is not None and gpano.area is not None and gpano.full_size != gpano.area[2:]:
        return "part of the sphere", "", full_size
    appearance = look(panorama, name, size)
    if appearance == "dual fisheye":
        return "dual fisheye", "it is two circles on a dark ground", None
    if appearance == "open edges" and not says:
        return "not a panorama", "it is 2:1, but its left and right edges do not meet", None
    return "full sphere", "", full_size
