"""Load panoramas and views from files, URLs, bytes, images, arrays and tensors."""

import math
from typing import Literal, overload

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from panollava_geometry._arrays._sizes import Size, check_result, size_pair
from panollava_geometry._errors import PanoramaError
from panollava_geometry._files._decoding import Decoded, decode
from panollava_geometry._files._pose import Pose, apply_pose, check_pose
from panollava_geometry._files._rgb import scale_16_bit
from panollava_geometry._metadata._layout import Layout
from panollava_geometry._metadata._panorama_metadata import read_gpano
from panollava_geometry._metadata._shape import not_full_sphere
from panollava_geometry._planning._plan import ViewPlan, Views, as_plan
from panollava_geometry._projections._extraction import extract_views
from panollava_geometry._sources._source import FileSource, check_pixels, open_image, source_name
from panollava_geometry._views._sphere import Degrees

Eye = Literal["left", "right"]
Source = FileSource | Image.Image | ndarray | Tensor
#: Share of a plan's required width that a scaled decode must reach. Only pixels in the corners of views are finer.
_ENOUGH = 0.95
Panorama = UInt8[Tensor, "3 height width"]
Mask = Bool[Tensor, "height width"]


@overload
def load_equirectangular(
    source: Source,
    *,
    max_width: int | None = None,
    return_mask: Literal[False] = False,
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
    pose: Pose | None = None,
) -> Panorama: ...
@overload
def load_equirectangular(
    source: Source,
    *,
    max_width: int | None = None,
    return_mask: Literal[True],
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
    pose: Pose | None = None,
) -> tuple[Panorama, Mask]: ...
def load_equirectangular(
    source: Source,
    *,
    max_width: int | None = None,
    return_mask: bool = False,
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
    pose: Pose | None = None,
) -> Panorama | tuple[Panorama, Mask]:
    """Load a panorama as uint8 RGB.

    The EXIF orientation is applied, and colours are converted to sRGB through the embedded profile. Greyscale, palette,
    CMYK, 16-bit and transparent images are converted to 8-bit RGB (transparency on black). A partial panorama with
    GPano metadata is placed on the full sphere. The rest of the sphere is black, and False in the mask.

    An image that is not 2:1 and has no GPano metadata is refused, unless one of `whole_sphere`, `hfov_deg`, `partial`
    and `eye` says what it shows. GPano metadata is then ignored. Tensors must be 2:1.

    Args:
        source: Path, http(s) URL, bytes, binary file object, Pillow image, uint8 or uint16 array `[H, 2H]` or
            `[H, 2H, 1 | 3 | 4]`, or uint8 tensor `[1 | 3, H, 2H]`.
        max_width: Maximum width of the result in pixels. A wider panorama is reduced by averaging. JPEG files are
            decoded at the smallest scale that is at least this wide.
        return_mask: Also return which pixels the source shows.
        whole_sphere: The image shows the full sphere, whatever its shape. It is resized to 2:1.
        hfov_deg: The image is a part of the sphere with this horizontal field of view in degrees, centred on the
            horizon at yaw 0. Its pixels are square, which gives the vertical field of view. 360 is a closed strip.
        partial: The image is a part of the sphere with an unknown field of view. It is 360° if the left and right
            edges meet, and is otherwise estimated from the EXIF focal length, or that of a usual telephone. A
            `PanoramaWarning` says what is assumed.
        eye: The image is a stereo panorama; load the "left" or the "right" one. The left eye is the upper half of a
            1:1 image, or the left half of a 4:1 image.
        pose: Turn the panorama by the pose of the camera in its GPano metadata. "level" makes the horizon level (pitch
            and roll). "north" also turns the centre to the north (heading). Pixels are then read bilinearly.

    Returns:
        The panorama `[3, H, 2H]`. With `return_mask`, also a boolean mask `[H, 2H]`, which is False where the source
        does not cover the sphere (GPano) or is fully transparent.

    Raises:
        PanoramaError: The source is missing, damaged, too large, not a panorama, or its pixels have no known range.

    Warns:
        PanoramaWarning: The image can be used but is probably not what it seems. An image that was decoded from a file,
            URL, bytes or file object looks like a dual fisheye image, or its left and right edges do not meet.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import load_equirectangular
        >>> load_equirectangular(np.zeros((64, 128, 3), np.uint8), max_width=32).shape
        torch.Size([3, 16, 32])
    """
    if max_width is not None and max_width < 2:
        raise PanoramaError(f"max_width must be at least 2, got {max_width}")
    check_pose(pose)
    panorama, mask, _ = load_panorama(source, max_width, Layout(whole_sphere, hfov_deg, partial, eye), pose)
    panorama, mask = _at_most(panorama, mask, max_width)
    erp = torch.from_numpy(panorama).permute(2, 0, 1)
    if not return_mask:
        return erp
    return erp, torch.ones(erp.shape[1:], dtype=torch.bool) if mask is None else torch.from_numpy(mask)


@overload
def load_views(
    source: Source,
    plan: Views,
    size: Size,
    *,
    return_mask: Literal[False] = False,
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
    pose: Pose | None = None,
) -> UInt8[Tensor, "views 3 height width"]: ...
@overload
def load_views(
    source: Source,
    plan: Views,
    size: Size,
    *,
    return_mask: Literal[True],
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
    pose: Pose | None = None,
) -> tuple[UInt8[Tensor, "views 3 height width"], Bool[Tensor, "views height width"]]: ...
def load_views(
    source: Source,
    plan: Views,
    size: Size,
    *,
    return_mask: bool = False,
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
    pose: Pose | None = None,
) -> UInt8[Tensor, "views 3 height width"] | tuple[Tensor, Tensor]:
    """Load the views of a plan. The panorama is decoded no finer than the views need (`plan.required_width(size)`).

    A JPEG file is scaled by a power of two while it is decoded, any other file by a whole factor afterwards. The scaled
    width may be up to 5 % below the required width. The views are then extracted with antialiasing, as by
    `extract_views`.

    Args:
        source: As in `load_equirectangular`.
        plan: The views: a plan, a list of views, or a single view.
        size: Height and width of every view in pixels, or one number for both.
        return_mask: Also return which pixels of the views the source shows (at least half of the pixel).
        whole_sphere: As in `load_equirectangular`, like the following arguments.
        hfov_deg: Horizontal field of view of a partial panorama in degrees.
        partial: The image is a partial panorama of unknown field of view.
        eye: Load the "left" or the "right" image of a stereo panorama.
        pose: Turn the panorama by the pose in its GPano metadata: "level" or "north".

    Returns:
        The views `[V, 3, h, w]`, uint8. With `return_mask`, also a boolean mask `[V, h, w]`.

    Raises:
        PanoramaError: As in `load_equirectangular`.

    Warns:
        PanoramaWarning: As in `load_equirectangular`.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import load_views, plan_views
        >>> load_views(np.zeros((64, 128, 3), np.uint8), plan_views("cubemap"), 16).shape
        torch.Size([6, 3, 16, 16])
    """
    plan, size = as_plan(plan), size_pair(size)
    check_result(len(plan), size, 3, 1)
    check_pose(pose)
    width = sufficient_width(plan, size)
    panorama, mask, _ = load_panorama(source, width, Layout(whole_sphere, hfov_deg, partial, eye), pose)
    views = extract_views(torch.from_numpy(panorama).permute(2, 0, 1), plan, size)
    if not return_mask:
        return views
    if mask is None:
        return views, torch.ones(views.shape[0], *views.shape[2:], dtype=torch.bool)
    shown = torch.from_numpy(mask.astype(np.uint8) * np.uint8(255))[None]
    return views, extract_views(shown, plan, size)[:, 0] >= 128


def sufficient_width(plan: ViewPlan, size: Size) -> int:
    """The width at which a panorama is decoded for views."""
    return math.ceil(_ENOUGH * plan.required_width(size))


def load_with_size(
    source: Source,
    *,
    max_width: int | None = None,
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
    pose: Pose | None = None,
) -> tuple[Panorama, tuple[int, int]]:
    """Load a panorama, and say how large it is without `max_width`.

    Args:
        source: As in `load_equirectangular`, like the following arguments.
        max_width: Maximum width of the result in pixels.
        whole_sphere: The image shows the full sphere, whatever its shape.
        hfov_deg: Horizontal field of view of a partial panorama in degrees.
        partial: The image is a partial panorama of unknown field of view.
        eye: Load the "left" or the "right" image of a stereo panorama.
        pose: Turn the panorama by the pose in its GPano metadata: "level" or "north".

    Returns:
        The panorama `[3, H, 2H]` that `load_equirectangular` returns, and the width and height in pixels that it has
        without `max_width`. The source is read once.

    Raises:
        PanoramaError: As in `load_equirectangular`.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry.files import load_with_size
        >>> panorama, size = load_with_size(np.zeros((64, 128, 3), np.uint8), max_width=32)
        >>> panorama.shape, size
        (torch.Size([3, 16, 32]), (128, 64))
    """
    if max_width is not None and max_width < 2:
        raise PanoramaError(f"max_width must be at least 2, got {max_width}")
    check_pose(pose)
    panorama, _, size = load_panorama(source, max_width, Layout(whole_sphere, hfov_deg, partial, eye), pose)
    panorama, _ = _at_most(panorama, None, max_width)
    return torch.from_numpy(panorama).permute(2, 0, 1), size


def check_options(
    *,
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
    pose: Pose | None = None,
) -> None:
    """Check the options of `load_equirectangular` on what images show and on their pose, before the first is loaded.

    Raises:
        PanoramaError: A value is impossible, or two options exclude each other.
    """
    Layout(whole_sphere, hfov_deg, partial, eye)
    check_pose(pose)


def load_panorama(
    source: Source, width: int | None, layout: Layout, pose: Pose | None = None
) -> tuple[UInt8[ndarray, "height width 3"], ndarray | None, tuple[int, int]]:
    """The panorama as an array, at least `width` wide if the source is, its mask (None: the full sphere), and its size.

    The size is the width and height at the source's own resolution.
    """
    name = source_name(source)
    if isinstance(source, Tensor):
        decoded: Decoded = _from_tensor(source), None, (source.shape[2], source.shape[1])
        return _posed(decoded, None, pose, name)
    if isinstance(source, ndarray):
        source = _from_array(source)
    if isinstance(source, Image.Image):
        check_pixels(name, *source.size)
        return _posed(decode(source, name, width, from_file=False, layout=layout), source, pose, name)
    with open_image(source) as image:
        return _posed(decode(image, name, width, from_file=True, layout=layout), image, pose, name)


def _posed(decoded: Decoded, image: Image.Image | None, pose: Pose | None, name: str) -> Decoded:
    """A panorama turned by the pose in the metadata of its image."""
    if pose is None:
        return decoded
    panorama, mask, size = decoded
    return *apply_pose(panorama, mask, None if image is None else read_gpano(image), pose, name), size


def _from_tensor(tensor: Tensor) -> UInt8[ndarray, "height width 3"]:
    if tensor.dtype != torch.uint8 or tensor.ndim != 3 or tensor.shape[0] not in (1, 3):
        raise PanoramaError(
            f"a panorama tensor must be uint8 [3, H, 2H] (or one channel), got {tensor.dtype} {tuple(tensor.shape)}"
        )
    if tensor.shape[2] != 2 * tensor.shape[1] or not tensor.numel():
        raise not_full_sphere("the tensor", (tensor.shape[2], tensor.shape[1]), "a tensor must be exactly 2:1")
    return tensor.detach().cpu().expand(3, -1, -1).permute(1, 2, 0).numpy()


def _from_array(array: ndarray) -> Image.Image:
    values = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if values.dtype == np.uint16:
        values = scale_16_bit(values)
    if values.dtype != np.uint8 or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise PanoramaError(
            f"a panorama array must be uint8 or uint16 [H, 2H] or [H, 2H, 1 | 3 | 4], got {array.dtype} {array.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(values))


def _at_most(
    panorama: UInt8[ndarray, "height width 3"], mask: ndarray | None, max_width: int | None
) -> tuple[UInt8[ndarray, "_ _ 3"], ndarray | None]:
    """The panorama and its mask at a width of at most `max_width`."""
    if max_width is None or panorama.shape[1] <= max_width:
        return panorama, mask
    width = max_width - max_width % 2
    size = (width, width // 2)
    small = np.array(Image.fromarray(panorama).resize(size, Image.Resampling.BOX))
    if mask is not None:
        mask = (
            np.asarray(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX)) >= 128
        )
    return small, mask
