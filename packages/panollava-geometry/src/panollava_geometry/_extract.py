"""`extract_views`: the views of a panorama, by whichever backend is the fastest exact one."""

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from panollava_geometry._backends import opencv_backend, py360convert_backend, torch_backend
from panollava_geometry._errors import PanoramaError
from panollava_geometry._plan import ViewPlan
from panollava_geometry._recipe import Recipe, SeparableRecipe, find_recipe
from panollava_geometry._sizes import Size, size_pair
from panollava_geometry._views import PerspectiveView

Backend = Literal["auto", "torch", "opencv", "py360convert"]


def extract_views(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"],
    plan: ViewPlan,
    size: Size,
    *,
    antialias: bool = True,
    align_corners: bool = False,
    backend: Backend = "auto",
) -> Shaped[Tensor, "*batch views channels height width"]:
    """Extract the views of a plan from full equirectangular panoramas.

    A pixel of a view is the mean of the panorama over that pixel's footprint (`antialias=True`), or the bilinear value
    at its centre. Longitude wraps, latitude continues over the poles, and rolling the panorama by k columns gives
    exactly what turning every view by k columns gives.

    Args:
        erp: Panoramas `[..., C, H, 2H]`, uint8 or floating point, on any device. Differentiable.
        plan: The views.
        size: Height and width of every view, or one number for both.
        antialias: Low-pass by the local minification of each view.
        align_corners: The field of view spans the centres of the outer pixels (py360convert's grid) instead of their
            outer edges.
        backend: `torch` for everything; `opencv` for uint8 on the CPU (extra `[opencv]`); `py360convert` for that
            library's sampling on the CPU (antialiased windows of the ERP, which it lacks, by torch). `auto` is
            `opencv` where it applies and its remap is exact (OpenCV 5), else `torch`.

    Returns:
        The views, of the dtype and on the device of `erp`.

    Raises:
        PanoramaError: The panorama is not 2:1 or of another dtype, or the backend is unknown or cannot do this.

    Example:
        >>> from panollava_geometry import extract_views, plan_views
        >>> panorama = torch.zeros(3, 256, 512, dtype=torch.uint8)
        >>> extract_views(panorama, plan_views("anyres_e2p"), 64).shape
        torch.Size([7, 3, 64, 64])
    """
    wanted = size_pair(size)
    _check(erp, backend)
    *batch, channels, height, width = erp.shape
    flat = erp.reshape(-1, channels, height, width)
    recipes = _find_recipes(plan, wanted, (height, width), antialias, align_corners, erp.dtype == torch.float64)
    if backend == "auto":
        backend = "opencv" if _opencv_applies(erp, [recipe for recipe, _ in recipes]) else "torch"
    if backend == "opencv":
        views = _by_opencv(flat, recipes, wanted)
    elif backend == "py360convert":
        views = _by_py360convert(flat, plan, recipes, wanted, antialias, align_corners)
    else:
        views = _by_torch(flat, recipes)
    return views.reshape(*batch, len(plan), channels, *wanted)


def view_rays(plan: ViewPlan, grid: Size) -> Float[Tensor, "views rows columns 3"]:
    """Unit directions of the token centres of every view.

    Args:
        plan: The views.
        grid: Rows and columns of tokens, or one number for both.

    Returns:
        float32 rays `[V, H', W', 3]`: x right, y up, z forward.

    Example:
        >>> from panollava_geometry import plan_views, view_rays
        >>> view_rays(plan_views("e2p", num_views=4), 1)[:, 0, 0].round().int().tolist()
        [[0, 0, 1], [1, 0, 0], [0, 0, -1], [-1, 0, 0]]
    """
    rows_columns = size_pair(grid, "grid")
    return torch.from_numpy(np.stack([view.rays(rows_columns) for view in plan])).float()


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it unannotated
def _find_recipes(
    plan: ViewPlan, size: tuple[int, int], erp: tuple[int, int], antialias: bool, align_corners: bool, precise: bool
) -> list[tuple[Recipe, int]]:
    """The plan's recipes: numpy and a cache, which torch.compile leaves alone."""
    return [find_recipe(view, size, erp, antialias, align_corners, precise) for view in plan]


def _check(erp: Tensor, backend: str) -> None:
    if backend not in get_args(Backend):
        raise PanoramaError(f"unknown backend {backend!r}: choose from {', '.join(get_args(Backend))}")
    if erp.ndim < 3:
        raise PanoramaError(f"a panorama must be [..., channels, height, width], got shape {tuple(erp.shape)}")
    height, width = erp.shape[-2:]
    if height < 1 or width != 2 * height:
        hint = " (channels must come first: permute(2, 0, 1))" if width in (1, 3, 4) else ""
        raise PanoramaError(f"a full panorama must be twice as wide as high, got {width}x{height}{hint}")
    if erp.dtype != torch.uint8 and not erp.is_floating_point():
        raise PanoramaError(f"a panorama must be uint8 or floating point, got {erp.dtype}: convert it first")


def _opencv_applies(erp: Tensor, recipes: list[Recipe]) -> bool:
    return (
        erp.dtype == torch.uint8
        and erp.device.type == "cpu"
        and erp.shape[-3] <= 4
        and not torch.compiler.is_compiling()
        and opencv_backend.is_exact()
        and all(opencv_backend.fits(recipe) for recipe in recipes)
    )


def _by_torch(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"], recipes: list[tuple[Recipe, int]]
) -> Shaped[Tensor, "batch views channels height width"]:
    views = torch.stack([torch_backend.sample(erp, recipe, anchor) for recipe, anchor in recipes], dim=1)
    return _like(views, erp)


def _like(views: Float[Tensor, "..."], erp: Tensor) -> Shaped[Tensor, "..."]:
    """Sampled values in the panorama's dtype."""
    return views.round().clamp(0, 255).to(torch.uint8) if erp.dtype == torch.uint8 else views.to(erp.dtype)


def _by_opencv(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    recipes: list[tuple[Recipe, int]],
    size: tuple[int, int],
) -> Shaped[Tensor, "batch views channels height width"]:
    if erp.dtype != torch.uint8 or erp.device.type != "cpu" or erp.shape[1] > 4:
        raise PanoramaError(
            f"backend='opencv' takes uint8 panoramas of at most 4 channels on the CPU, got {erp.dtype} with "
            f"{erp.shape[1]} channels on {erp.device}: use backend='torch'"
        )
    if not opencv_backend.is_installed():
        raise PanoramaError("backend='opencv' needs OpenCV: pip install 'panollava-geometry[opencv]'")
    # Only the patches a view needs are copied, so planes of their own need not become channels last first.
    images = [image.permute(1, 2, 0).numpy() for image in erp]
    views = np.empty((len(images), len(recipes), *size, erp.shape[1]), np.uint8)
    for image, of_image in zip(images, views, strict=True):
        for index, (recipe, anchor) in enumerate(recipes):
            of_image[index] = opencv_backend.sample(image, recipe, anchor)
    return torch.from_numpy(views).permute(0, 1, 4, 2, 3)


def _by_py360convert(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"],
    plan: ViewPlan,
    recipes: list[tuple[Recipe, int]],
    size: tuple[int, int],
    antialias: bool,
    align_corners: bool,
) -> Shaped[Tensor, "batch views channels height width"]:
    if erp.dtype == torch.bfloat16 or erp.device.type != "cpu" or erp.requires_grad:
        raise PanoramaError(
            f"backend='py360convert' takes plain CPU arrays, got {erp.dtype} on {erp.device}: use backend='torch'"
        )
    views = []
    for view, (recipe, anchor) in zip(plan, recipes, strict=True):
        if isinstance(recipe, SeparableRecipe):
            views.append(_by_torch(erp, [(recipe, anchor)])[:, 0])
        elif isinstance(view, PerspectiveView) and not antialias:
            images = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in erp]
            read = [py360convert_backend.perspective(image, view, size, align_corners) for image in images]
            views.append(torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2))
        else:
            patches = torch_backend.reduced_patch(erp, recipe.patch, anchor).numpy()
            mean = torch.from_numpy(np.stack([py360convert_backend.read_points(patch, recipe) for patch in patches]))
            views.append(_like(mean, erp))
    return torch.stack(views, dim=1)
