"""Convert a panorama to a cubemap and back.

The faces are front, right, back, left, up, down, each as a camera at the centre sees it. The up face has the front at
its bottom edge, the down face at its top edge.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._errors import PanoramaError
from panollava_geometry._extraction import extract_views
from panollava_geometry._sphere import equirect_to_rays
from panollava_geometry._strategies import plan_views
from panollava_geometry._tensors import cast_like, check_tensor
from panollava_geometry._view_base import pixel_centres

_CUBE = plan_views("cubemap")


def equirect_to_cubemap(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"], face_width: int
) -> Shaped[Tensor, "*batch 6 channels face_width face_width"]:
    """Extract the six 90-degree faces of a panorama, antialiased.

    Args:
        erp: Panoramas `[..., C, H, 2H]`.
        face_width: Width and height of a face in pixels.

    Returns:
        Faces `[..., 6, C, w, w]`: front, right, back, left, up, down.

    Raises:
        PanoramaError: The panorama is not 2:1, or its dtype is not supported.

    Example:
        >>> from panollava_geometry import equirect_to_cubemap
        >>> equirect_to_cubemap(torch.zeros(3, 64, 128), 32).shape
        torch.Size([6, 3, 32, 32])
    """
    return extract_views(erp, _CUBE, face_width)


def cubemap_to_equirect(
    faces: Shaped[Tensor, "*batch faces channels face_height face_width"], height: int
) -> Shaped[Tensor, "*batch channels height erp_width"]:
    """Join six faces to a panorama, with bilinear interpolation across the edges of the cube.

    Args:
        faces: Faces `[..., 6, C, w, w]`: front, right, back, left, up, down; uint8 or floating point. Differentiable.
        height: Height of the panorama in pixels. Its width is twice that.

    Returns:
        Panoramas `[..., C, H, 2H]`.

    Raises:
        PanoramaError: The faces are not six squares, or the height is not positive.

    Example:
        >>> from panollava_geometry import cubemap_to_equirect
        >>> cubemap_to_equirect(torch.ones(6, 3, 32, 32), 64).shape
        torch.Size([3, 64, 128])
    """
    check_tensor(faces, "faces as a tensor [..., 6, channels, width, width]")
    if faces.ndim < 4 or faces.shape[-4] != 6 or faces.shape[-1] != faces.shape[-2]:
        raise PanoramaError(f"a cubemap must be [..., 6, channels, width, width], got {tuple(faces.shape)}")
    if height < 1:
        raise PanoramaError(f"height must be positive, got {height}")
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
