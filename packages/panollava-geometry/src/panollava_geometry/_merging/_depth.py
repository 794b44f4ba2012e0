"""Depth maps of views: distances along the ray (radial), or along the optical axis (z)."""

from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._containers import open_views
from panollava_geometry._arrays._tensors import check_tensor
from panollava_geometry._errors import PanoramaError
from panollava_geometry._planning._plan import ViewPlan, Views, as_plan
from panollava_geometry._views._perspective_view import PerspectiveView


@overload
def radial_to_z_depth(
    depth: Float[Tensor, "*batch views channels height width"], plan: Views, *, align_corners: bool = False
) -> Float[Tensor, "*batch views channels height width"]: ...
@overload
def radial_to_z_depth(depth: ndarray, plan: Views, *, align_corners: bool = False) -> ndarray: ...
def radial_to_z_depth(depth: Any, plan: Views, *, align_corners: bool = False) -> Any:
    """Convert distances from the camera to distances along the optical axis of each view.

    A panorama has radial depth. z-depth is what pinhole cameras and most depth models use: z = radial · cos(angle to
    the axis). Views of a depth map are best extracted with `interpolation="nearest"`: a mean over an edge is a distance
    at which nothing is.

    Args:
        depth: Radial depth `[..., V, C, h, w]`, floating point. Or NumPy arrays `[V, h, w]` or `[..., V, h, w, C]`.
            0, infinity and NaN stay. Differentiable.
        plan: The views: a plan, a list of views, or a single view. All are perspective views.
        align_corners: As in `extract_views`.

    Returns:
        z-depth, of the same shape, kind and dtype.

    Raises:
        PanoramaError: The depth is not floating point, the number of views differs from the plan, or a view has no
            optical axis.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import PerspectiveView, radial_to_z_depth
        >>> radial_to_z_depth(np.ones((1, 1, 3)), PerspectiveView(0.0, hfov_deg=90.0)).round(3).tolist()
        [[[0.832, 1.0, 0.832]]]
    """
    return _scaled(depth, plan, align_corners, 1)


@overload
def z_to_radial_depth(
    depth: Float[Tensor, "*batch views channels height width"], plan: Views, *, align_corners: bool = False
) -> Float[Tensor, "*batch views channels height width"]: ...
@overload
def z_to_radial_depth(depth: ndarray, plan: Views, *, align_corners: bool = False) -> ndarray: ...
def z_to_radial_depth(depth: Any, plan: Views, *, align_corners: bool = False) -> Any:
    """Convert distances along the optical axis of each view to distances from the camera.

    Radial depth does not depend on the direction of a view, so it can be pasted onto the panorama with `paste_views`.

    Args:
        depth: z-depth, as the depth of `radial_to_z_depth`.
        plan: The views: a plan, a list of views, or a single view. All are perspective views.
        align_corners: As in `extract_views`.

    Returns:
        Radial depth, of the same shape, kind and dtype.

    Raises:
        PanoramaError: As in `radial_to_z_depth`.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import PerspectiveView, z_to_radial_depth
        >>> z_to_radial_depth(np.ones((1, 1, 3)), PerspectiveView(0.0, hfov_deg=90.0)).round(3).tolist()
        [[[1.202, 1.0, 1.202]]]
    """
    return _scaled(depth, plan, align_corners, -1)


def _scaled(depth: Any, plan: Views, align_corners: bool, power: int) -> Any:
    views = as_plan(plan)
    opened = open_views(depth)
    values = check_views(opened.tensor, views, "depth")
    size = (values.shape[-2], values.shape[-1])
    cosines = []
    for view in views:
        if not isinstance(view, PerspectiveView):
            raise PanoramaError(
                f"z-depth needs an optical axis, got a {type(view).__name__}: only perspective views have one"
            )
        rays = view.rays(size, align_corners=align_corners)
        cosines.append((rays @ view.rotation[:, 2]) ** power)
    factors = torch.from_numpy(np.stack(cosines))[:, None].to(values.device, values.dtype)
    return opened.restore(values * factors)


def check_views(values: Any, plan: ViewPlan, name: str) -> Tensor:
    """Check that values are a floating-point tensor `[..., V, C, h, w]` for a plan.

    Raises:
        PanoramaError: They are not.
    """
    check_tensor(values, f"{name} as a tensor [..., views, channels, height, width] or an array")
    tensor: Tensor = values
    if tensor.ndim < 4 or tensor.shape[-4] != len(plan) or 0 in tensor.shape[-3:]:
        raise PanoramaError(
            f"{name} must be [..., {len(plan)} views, channels, height, width] for this plan, got {tuple(tensor.shape)}"
        )
    if not tensor.is_floating_point():
        raise PanoramaError(f"{name} must be floating point, got {tensor.dtype}: convert it first")
    return tensor
