"""`panorama_info` and `is_panorama`: what a file is, without loading it in full."""

from dataclasses import dataclass
from typing import Literal

from PIL import Image, UnidentifiedImageError

from panollava_geometry._appearance import look
from panollava_geometry._colour_profile import profile_name
from panollava_geometry._decoding import decode
from panollava_geometry._errors import PanoramaError
from panollava_geometry._orientation import read_orientation
from panollava_geometry._panorama_metadata import GPano, read_gpano
from panollava_geometry._source import FileSource, open_image, source_name

Kind = Literal["full sphere", "part of the sphere", "dual fisheye", "not a panorama"]
#: Width at which an image is looked at.
_LOOK = 512


@dataclass(frozen=True)
class PanoramaInfo:
    """What a file is.

    Args:
        name: The file, in messages.
        format: Pillow's name of the format.
        size: Width and height in pixels, as stored.
        mode: Pillow's name of the kind of pixels, such as "RGB".
        kind: What the image shows.
        reason: Why it is not a full panorama; empty if it is.
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
        PanoramaError: The file is missing, damaged, too large, or not an image.

    Warns:
        PanoramaWarning: Its metadata cannot be used.

    Example:
        >>> import io
        >>> from panollava_geometry.files import panorama_info
        >>> Image.new("RGB", (300, 200)).save(file := io.BytesIO(), "PNG")
        >>> panorama_info(file.getvalue()).kind
        'not a panorama'
    """
    name = source_name(source)
    with open_image(source) as image:
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
    looks = look(panorama, name, size)
    if looks == "dual fisheye":
        return "dual fisheye", "it is two circles on a dark ground", None
    if looks == "open edges" and not says:
        return "not a panorama", "it is 2:1, but its left and right edges do not meet", None
    return "full sphere", "", full_size
