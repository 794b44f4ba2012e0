"""Convert a panorama to a cubemap and back.

The faces are front, right, back, left, up, down, each as a camera at the centre sees it. The up face has the front at
its bottom edge, the down face at its top edge.
"""

import functools
from typing import Any, Literal, overload

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._containers import Opened, open_panorama
from panollava_geometry._arrays._options import Interpolation
from panollava_geometry._arrays._pillow import Image
from panollava_geometry._arrays._sizes import check_result
from panollava_geometry._arrays._tensors import cast_like
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._planning._strategies import plan_views
from panollava_geometry._projections._cubemap_layouts import CubemapLayout, arranged, check_layout, open_cubemap
from panollava_geometry._projections._extraction import extract_views
from panollava_geometry._sampling._nearest import as_integers, nearest_pixels, retyped
from panollava_geometry._views._sphere import equirect_to_rays
from panollava_geometry._views._view_base import pixel_centres

_CUBE = plan_views("cubemap")


@overload
def equirect_to_cubemap(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"],
    face_width: int,
    *,
    layout: Literal["stack"] = "stack",
    interpolation: Interpolation = "bilinear",
) -> Shaped[Tensor, "*batch 6 channels face_width face_width"]: ...
@overload
def equirect_to_cubemap(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"] | ndarray | Image,
    face_width: int,
    *,
    layout: CubemapLayout = "stack",
    interpolation: Interpolation = "bilinear",
) -> Any: ...
def equirect_to_cubemap(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"] | ndarray | Image,
    face_width: int,
    *,
    layout: CubemapLayout = "stack",
    interpolation: Interpolation = "bilinear",
) -> Any:
    """Extract the six 90-degree faces of a panorama, antialiased.

    Args:
        erp: Panoramas `[..., C, H, 2H]`. Or NumPy arrays `[H, 2H]` or `[..., H, 2H, C]`, or a Pillow image.
        face_width: Width and height of a face in pixels.
        layout: How the faces are returned. `stack`: on one axis; `list`; `dict`: with the keys F, R, B, L, U, D;
            `horizon`: one image, six faces wide; `dice`: one image, four faces wide and three high, an unfolded cube.
        interpolation: `bilinear` (antialiased), or `nearest` for labels and masks of any dtype.

    Returns:
        Faces `[..., 6, C, w, w]` in the order front, right, back, left, up, down, or another layout of them. Of arrays,
        arrays `[6, w, w]` or `[..., 6, w, w, C]`. Of a Pillow image, images (`stack` is a list of them).

    Raises:
        PanoramaError: The panorama is not 2:1, its dtype is not supported, or the layout is unknown.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from panollava_geometry import equirect_to_cubemap
        >>> equirect_to_cubemap(torch.zeros(3, 64, 128), 32).shape
        torch.Size([6, 3, 32, 32])
        >>> equirect_to_cubemap(np.zeros((64, 128, 3), np.uint8), 32, layout="dice").shape
        (96, 128, 3)
    """
    check_layout(layout)
    opened = open_panorama(erp, interpolation)
    faces = extract_views(opened.tensor, _CUBE, face_width, interpolation=interpolation)
    return arranged(opened, faces, layout)


@overload
def cubemap_to_equirect(
    faces: Tensor, height: int, *, layout: CubemapLayout | None = None, interpolation: Interpolation = "bilinear"
) -> Shaped[Tensor, "*batch channels height erp_width"]: ...
@overload
def cubemap_to_equirect(
    faces: Any, height: int, *, layout: CubemapLayout | None = None, interpolation: Interpolation = "bilinear"
) -> Any: ...
def cubemap_to_equirect(
    faces: Any,
    height: int,
    *,
    layout: CubemapLayout | None = None,
    interpolation: Interpolation = "bilinear",
) -> Any:
    """Join six faces to a panorama, with bilinear interpolation across the edges of the cube.

    Args:
        faces: Faces `[..., 6, C, w, w]`: front, right, back, left, up, down; uint8 or floating point. Differentiable.
            Or NumPy arrays `[6, w, w]` or `[..., 6, w, w, C]`, or another layout of tensors, arrays or Pillow images.
        height: Height of the panorama in pixels. Its width is twice that.
        layout: As in `equirect_to_cubemap`. None means `dict` for a dictionary, `list` for a list, else `stack`.
        interpolation: `bilinear`, or `nearest` for labels and masks of any dtype.

    Returns:
        Panoramas `[..., C, H, 2H]`; of arrays, arrays `[H, 2H]` or `[..., H, 2H, C]`; of Pillow images, an image.

    Raises:
        PanoramaError: The faces are not six squares, their dtype is not supported, the layout is unknown or not the
            one of the faces, or the height is not positive or too large.

    Example:
        >>> import torch
        >>> from panollava_geometry import cubemap_to_equirect
        >>> cubemap_to_equirect(torch.ones(6, 3, 32, 32), 64).shape
        torch.Size([3, 64, 128])
    """
    opened = open_cubemap(faces, layout, interpolation)
    if not isinstance(height, int) or height < 1:
        raise PanoramaError(f"height must be positive, got {short(height)}")
    check_result(1, (height, 2 * height), opened.tensor.shape[-3], opened.tensor.element_size(), "height")
    join = _join_nearest if interpolation == "nearest" else _join
    return opened.restore(join(opened.tensor, height))


def convert_cubemap(faces: Any, layout: CubemapLayout, *, source: CubemapLayout | None = None) -> Any:
    """Convert a cubemap from one layout to another. The values do not change.

    Args:
        faces: Tensors, NumPy arrays or Pillow images of any dtype, as in `cubemap_to_equirect`.
        layout: The layout to return, as in `equirect_to_cubemap`.
        source: The layout of `faces`. None means `dict` for a dictionary, `list` for a list, else `stack`.

    Returns:
        The faces in the new layout.

    Raises:
        PanoramaError: A layout is unknown, or the faces are not in it.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import convert_cubemap
        >>> list(convert_cubemap(np.zeros((32, 192, 3), np.uint8), "dict", source="horizon"))
        ['F', 'R', 'B', 'L', 'U', 'D']
    """
    check_layout(layout)
    opened = open_cubemap(faces, source, "nearest")
    values = opened.tensor
    return arranged(Opened(values, lambda moved: opened.restore(retyped(moved, values))), as_integers(values), layout)


def _join_nearest(
    faces: Shaped[Tensor, "*batch 6 channels width width"], height: int
) -> Shaped[Tensor, "*batch channels height erp_width"]:
    width = faces.shape[-1]
    face, xy = _places(width, height, 1)
    column, row = np.moveaxis(nearest_pixels(xy, (width, width)), -1, 0)
    index = torch.from_numpy((face * width + row) * width + column).to(faces.device)
    flat = as_integers(faces).movedim(-4, -3).flatten(-3)
    joined = flat.index_select(-1, index)
    return retyped(joined.reshape(*joined.shape[:-1], height, 2 * height), faces)


def _join(
    faces: Shaped[Tensor, "*batch 6 channels width width"], height: int
) -> Shaped[Tensor, "*batch channels height erp_width"]:
    if faces.dtype != torch.uint8 and not faces.is_floating_point():
        raise PanoramaError(
            f"faces must be uint8 or floating point, got {faces.dtype}: convert them first, or pass "
            "interpolation='nearest' for labels and masks"
        )
    *batch, _, channels, _, width = faces.shape
    flat = faces.reshape(-1, 6, channels, width, width)
    flat = flat if flat.dtype == torch.float64 else flat.float()
    # A face pixel at the centre spans 2/width radians, a panorama pixel π/height.
    fine = int(np.clip(np.ceil(np.pi / height / (2 / width) / 2), 1, 4))
    face, xy = _places(width, height, fine)
    joined = _read(_with_borders(flat), face, xy + 1).reshape(-1, channels, height * fine, 2 * height * fine)
    if fine > 1:
        joined = functional.avg_pool2d(joined, fine)
    return cast_like(joined, faces).reshape(*batch, channels, height, 2 * height)


def _major_face(rays: Float[ndarray, "places 3"]) -> Int[ndarray, " places"]:
    """The face that each ray passes through."""
    axes = np.stack([view.rays((1, 1))[0, 0] for view in _CUBE])
    return np.asarray(np.argmax(rays @ axes.T, axis=1))


def _face_places(
    rays: Float[ndarray, "places 3"], width: int
) -> tuple[Int[ndarray, " places"], Float[ndarray, "places 2"]]:
    face = _major_face(rays)
    xy = np.empty((len(rays), 2))
    for index, view in enumerate(_CUBE):
        mine = face == index
        xy[mine] = view.rays_to_pixels(rays[mine], (width, width))[0]
    return face, xy


@functools.lru_cache(maxsize=4)
def _places(width: int, height: int, fine: int) -> tuple[Int[ndarray, " places"], Float[ndarray, "places 2"]]:
    size = (height * fine, 2 * height * fine)
    return _face_places(equirect_to_rays(pixel_centres(size), size).reshape(-1, 3), width)


@functools.lru_cache(maxsize=4)
def _border_places(width: int) -> tuple[Int[ndarray, " places"], Float[ndarray, "places 2"], Int[ndarray, "border 2"]]:
    """For the pixels one step outside every face: the face they are on, where, and (row, column) in the padded face."""
    edge = np.arange(width + 2)
    ring = np.array([(r, c) for r in edge for c in edge if r in (0, width + 1) or c in (0, width + 1)])
    outside = ring[:, ::-1] - 0.5
    rays = np.concatenate([view.pixels_to_rays(outside, (width, width)) for view in _CUBE])
    face, xy = _face_places(rays, width)
    return face, xy, ring


def _read(
    faces: Float[Tensor, "batch 6 channels rows columns"], face: Int[ndarray, " places"], xy: Float[ndarray, "places 2"]
) -> Float[Tensor, "batch channels places"]:
    """Read faces bilinearly at (x, y), clamped to the centres of the outer pixels."""
    width = faces.shape[-1]
    position = np.clip(xy - 0.5, 0, width - 1)
    corner = np.minimum(np.floor(position), max(width - 2, 0)).astype(np.int64)
    part = torch.as_tensor(position - corner).to(faces.device, faces.dtype)
    flat = faces.transpose(1, 2).flatten(2)
    base = torch.as_tensor((face * width + corner[:, 1]) * width + corner[:, 0]).to(faces.device)
    right, down = int(width > 1), width * int(width > 1)
    upper = torch.lerp(flat[..., base], flat[..., base + right], part[:, 0])
    lower = torch.lerp(flat[..., base + down], flat[..., base + down + right], part[:, 0])
    return torch.lerp(upper, lower, part[:, 1])


def _with_borders(faces: Float[Tensor, "batch 6 channels width width"]) -> Float[Tensor, "batch 6 channels _ _"]:
    """Pad faces by one pixel on each side, read from the neighbouring faces."""
    width = faces.shape[-1]
    face, xy, ring = _border_places(width)
    batch, _, channels = faces.shape[:3]
    border = _read(faces, face, xy).reshape(batch, channels, 6, len(ring)).transpose(1, 2)
    padded = functional.pad(faces.flatten(0, 1), (1, 1, 1, 1)).reshape(batch, 6, channels, -1)
    index = torch.as_tensor(ring[:, 0] * (width + 2) + ring[:, 1]).to(faces.device)
    return padded.index_copy(-1, index, border).reshape(batch, 6, channels, width + 2, width + 2)
