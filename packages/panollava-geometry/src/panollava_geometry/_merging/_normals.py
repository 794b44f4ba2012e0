"""Surface normals: vectors that turn with the camera.

Extracting a view or rotating a panorama moves the pixels of a normal map, but its vectors keep the axes that they had.
"""

from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._containers import open_panorama, open_views
from panollava_geometry._arrays._options import Interpolation
from panollava_geometry._arrays._tensors import check_panorama
from panollava_geometry._errors import PanoramaError
from panollava_geometry._merging._depth import check_views
from panollava_geometry._planning._plan import Views, as_plan
from panollava_geometry._projections._rotation import rotate_equirectangular
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._sphere import Degrees, rotation_matrix


@overload
def normals_to_view(
    normals: Float[Tensor, "*batch views 3 height width"], plan: Views, *, unit: bool = True
) -> Float[Tensor, "*batch views 3 height width"]: ...
@overload
def normals_to_view(normals: ndarray, plan: Views, *, unit: bool = True) -> ndarray: ...
def normals_to_view(normals: Any, plan: Views, *, unit: bool = True) -> Any:
    """Convert vectors from the axes of the panorama to the axes of each view: x right, y up, z forward.

    For the axes of OpenCV (y down), negate y; for those of OpenGL (z backward), negate z.

    Args:
        normals: Views of a normal map `[..., V, 3, h, w]` in the axes of the panorama, floating point. Or NumPy arrays
            `[..., V, h, w, 3]`. Differentiable.
        plan: The views: a plan, a list of views, or a single view. Windows of the panorama have its axes.
        unit: Scale the vectors to length 1, because means of them are shorter. Zero stays zero.

    Returns:
        The vectors in the axes of each view, of the same shape, kind and dtype.

    Raises:
        PanoramaError: The normals are not floating point or do not have 3 channels, or the number of views differs from
            the plan.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import PerspectiveView, normals_to_view
        >>> wall = np.array([-1.0, 0.0, 0.0]).reshape(1, 1, 1, 3)  # on the right, facing the camera
        >>> (normals_to_view(wall, PerspectiveView(90.0)).ravel().round(6) + 0.0).tolist()
        [0.0, 0.0, -1.0]
    """
    return _turned(normals, plan, unit, to_view=True)


@overload
def normals_to_world(
    normals: Float[Tensor, "*batch views 3 height width"], plan: Views, *, unit: bool = True
) -> Float[Tensor, "*batch views 3 height width"]: ...
@overload
def normals_to_world(normals: ndarray, plan: Views, *, unit: bool = True) -> ndarray: ...
def normals_to_world(normals: Any, plan: Views, *, unit: bool = True) -> Any:
    """Convert vectors from the axes of each view to the axes of the panorama. Inverse of `normals_to_view`.

    Args:
        normals: Normal maps of views, as in `normals_to_view`, in the axes of each view.
        plan: The views: a plan, a list of views, or a single view.
        unit: Scale the vectors to length 1. Zero stays zero.

    Returns:
        The vectors in the axes of the panorama, which `paste_views` can join.

    Raises:
        PanoramaError: As in `normals_to_view`.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import PerspectiveView, normals_to_world
        >>> wall = np.array([0.0, 0.0, -1.0]).reshape(1, 1, 1, 3)
        >>> (normals_to_world(wall, PerspectiveView(90.0)).ravel().round(6) + 0.0).tolist()
        [-1.0, 0.0, 0.0]
    """
    return _turned(normals, plan, unit, to_view=False)


@overload
def rotate_normals(
    normals: Float[Tensor, "*batch 3 erp_height erp_width"],
    yaw_deg: Degrees = 0.0,
    pitch_deg: Degrees = 0.0,
    roll_deg: Degrees = 0.0,
    *,
    interpolation: Interpolation = "bilinear",
    unit: bool = True,
) -> Float[Tensor, "*batch 3 erp_height erp_width"]: ...
@overload
def rotate_normals(
    normals: ndarray,
    yaw_deg: Degrees = 0.0,
    pitch_deg: Degrees = 0.0,
    roll_deg: Degrees = 0.0,
    *,
    interpolation: Interpolation = "bilinear",
    unit: bool = True,
) -> ndarray: ...
def rotate_normals(
    normals: Any,
    yaw_deg: Degrees = 0.0,
    pitch_deg: Degrees = 0.0,
    roll_deg: Degrees = 0.0,
    *,
    interpolation: Interpolation = "bilinear",
    unit: bool = True,
) -> Any:
    """Rotate a normal map: its pixels as `rotate_equirectangular` does, and its vectors to the new axes.

    Args:
        normals: Normal maps `[..., 3, H, 2H]`, floating point. Or NumPy arrays `[..., H, 2H, 3]`. Differentiable.
        yaw_deg: Rotation to the right, in degrees.
        pitch_deg: Rotation upwards, in degrees.
        roll_deg: Clockwise rotation, in degrees.
        interpolation: As in `rotate_equirectangular`.
        unit: Scale the vectors to length 1. Zero stays zero.

    Returns:
        The normal maps in the axes of the rotated panorama.

    Raises:
        PanoramaError: The panorama is not 2:1, not floating point, or does not have 3 channels.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import rotate_normals
        >>> facing = -np.ones((2, 4, 3)) * [1.0, 0.0, 0.0]
        >>> (rotate_normals(facing, yaw_deg=90.0)[0, 0].round(6) + 0.0).tolist()
        [0.0, 0.0, -1.0]
    """
    opened = open_panorama(normals)
    check_panorama(opened.tensor)
    _check_vectors(opened.tensor)
    turned = rotate_equirectangular(opened.tensor, yaw_deg, pitch_deg, roll_deg, interpolation=interpolation)
    rotation = torch.from_numpy(rotation_matrix(yaw_deg, pitch_deg, roll_deg)).to(turned.device, turned.dtype)
    vectors = torch.einsum("ij,...ihw->...jhw", rotation, turned)
    return opened.restore(_unit(vectors) if unit else vectors)


def _turned(normals: Any, plan: Views, unit: bool, to_view: bool) -> Any:
    views = as_plan(plan)
    opened = open_views(normals)
    values = check_views(opened.tensor, views, "normals")
    _check_vectors(values)
    frames = np.stack([np.eye(3) if isinstance(view, EquirectangularView) else view.rotation for view in views])
    rotations = torch.from_numpy(frames).to(values.device, values.dtype)
    vectors = torch.einsum("vij,...vihw->...vjhw" if to_view else "vij,...vjhw->...vihw", rotations, values)
    return opened.restore(_unit(vectors) if unit else vectors)


def _check_vectors(values: Tensor) -> None:
    if values.shape[-3] != 3:
        raise PanoramaError(f"normals must have 3 channels (x, y, z), got {values.shape[-3]}")
    if not values.is_floating_point():
        raise PanoramaError(
            f"normals must be floating point, got {values.dtype}: decode them first, for example values / 127.5 - 1"
        )


def _unit(vectors: Float[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch 3 height width"]:
    length = vectors.square().sum(dim=-3, keepdim=True)
    return vectors * torch.where(length > 0, length, 1).rsqrt()
