"""`map_views`: any model of ordinary images on a panorama. Split into views, run, and merge."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._containers import open_panorama
from panollava_geometry._arrays._options import Backend, Interpolation
from panollava_geometry._arrays._pillow import Image, image_from_array, is_image
from panollava_geometry._arrays._sizes import Size, check_result, size_pair
from panollava_geometry._arrays._tensors import check_panorama
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._merging._merging import DEPTHS, Align, Kind, Merge, check_kind, check_seen
from panollava_geometry._merging._model_outputs import Name, Output, output_name, read_outputs
from panollava_geometry._planning._plan import ViewPlan, Views, as_plan
from panollava_geometry._planning._view_sizes import native_size
from panollava_geometry._projections._extraction import extract_views
from panollava_geometry._views._sphere import equirect_to_rays
from panollava_geometry._views._view_base import pixel_centres

_CHECKED_ROWS = 64  # of the panorama on which unseen directions are looked for before the function is called


def map_views(
    function: Callable[[Any], Any],
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"] | ndarray | Image,
    plan: Views,
    size: Size | None = None,
    *,
    kind: Kind | Mapping[str, Kind] | Sequence[Kind] = "values",
    align: Align | None = None,
    erp_size: Size | None = None,
    fill: float | int | bool | None = None,
    batch_size: int | None = None,
    as_images: bool = False,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
    backend: Backend = "auto",
) -> Any:
    """Apply a function on ordinary images to a panorama: split into views, call it, and merge its results.

    The merged value is the weighted mean of the views that see a pixel. The weight of a view falls to 0 towards its
    edges, so there are no visible borders, and is larger for views with smaller pixels, as in `paste_views`.

    | `kind` | the function returns, per view | merged |
    |---|---|---|
    | `values` | an image, features, probabilities, uint8 or floating point | mean |
    | `logits` | one score per class `[K, h, w]` | mean, then the class with the largest one, int64 |
    | `labels` | classes or masks of any dtype | label of the view with the largest weight |
    | `votes` | classes of any dtype | label with the largest total weight |
    | `depth`, `z_depth` | distance along the ray, or along the optical axis | mean of the distances along the rays |
    | `inverse_depth`, `inverse_z_depth` | 1 / depth, or 1 / z-depth | mean of 1 / distance along the rays |
    | `normals` | unit vectors in the axes of the view (x right, y up, z forward) | mean in the panorama's axes |

    Gradients flow through everything except labels. The function runs as it is called: for inference, call `map_views`
    in `torch.inference_mode()`.

    Args:
        function: It gets the views of a batch as one tensor `[n, C, h, w]` with the dtype and device of the panorama,
            or, with `as_images=True`, as a list of n Pillow images. It returns a tensor `[n, h', w']` or
            `[n, C', h', w']`, an array `[n, h', w']` or `[n, h', w', C']`, or a list of n tensors, arrays or images of
            one size. It can also return a dictionary or a tuple of these, or a list of n dictionaries, as pipelines of
            transformers do. (h', w') can be any size, such as the grid of patches: the result of each view covers its
            whole field of view.
        erp: Panoramas as in `extract_views`: a tensor `[..., C, H, 2H]`, an array `[H, 2H]` or `[..., H, 2H, C]`, or a
            Pillow image.
        plan: The views: a plan, a list of views, or a single view. Use views that overlap.
        size: Height and width of every view in pixels, or one number for both. None: the smallest size at which no view
            is coarser than the panorama at its centre.
        kind: What the function returns. A dictionary has a kind for each output to merge; other outputs are ignored. A
            tuple or list has one for each output of a tuple.
        align: Depth models return each view at its own scale. `scale` finds a factor for each view, `scale_shift` a
            factor and a shift, by least squares over the directions that several views see. Factors have the mean 1
            (`scale`: the geometric mean). For inverse depth of unknown shift, use `scale_shift`.
        erp_size: Height of the result in pixels, or (height, 2 * height). None: that of `erp`.
        fill: The value where no view sees the panorama. None: a plan that does not see everything is an error.
        batch_size: Views per call of the function. None: all views of all panoramas in one call.
        as_images: The function takes a list of Pillow images. The panorama is uint8 or a Pillow image.
        interpolation: As in `extract_views`: `nearest` for a panorama of labels.
        antialias: As in `extract_views`.
        backend: As in `extract_views`.

    Returns:
        A panorama `[..., H, 2H]`, or `[..., C', H, 2H]` if the function returned channels (`logits`: without). If `erp`
        is an array or an image, an array `[..., H, 2H]` or `[..., H, 2H, C']`. For a dictionary or a tuple of outputs,
        a dictionary or a tuple.

    Raises:
        PanoramaError: An argument is invalid, the plan does not see the whole panorama and there is no `fill`, or the
            function returns something else than the table says. Errors of the function pass unchanged.

    Example:
        >>> import torch
        >>> from panollava_geometry import map_views, plan_views
        >>> panorama = torch.rand(3, 64, 128)
        >>> brightness = map_views(lambda views: views.mean(dim=1), panorama, plan_views("cubemap", fov_deg=110))
        >>> brightness.shape
        torch.Size([64, 128])
    """
    if not callable(function):
        raise PanoramaError(f"function must be callable, got {type(function).__name__}")
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise PanoramaError(f"batch_size must be a positive int or None, got {short(batch_size)}")
    kinds = _kinds(kind)
    _check_align(align, kinds)
    if fill is not None and not isinstance(fill, float | int | np.number | np.bool):
        raise PanoramaError(f"fill must be a number or None, got {short(fill)}")
    opened, plan = open_panorama(erp, interpolation), as_plan(plan)
    check_panorama(opened.tensor)
    batch = opened.tensor.shape[:-3]
    if 0 in batch:
        raise PanoramaError(f"there is no panorama in a batch of shape {tuple(opened.tensor.shape)}: pass at least one")
    view_size = _native(plan, opened.tensor.shape[-1]) if size is None else size_pair(size)
    merge = Merge(plan, _height(erp_size, opened.tensor.shape[-2]), align, fill)
    if fill is None:
        check_seen(_seen(plan, min(merge.height, _CHECKED_ROWS)))
    views = extract_views(
        opened.tensor, plan, view_size, antialias=antialias, interpolation=interpolation, backend=backend
    ).flatten(0, -4)
    names = list(kinds) if isinstance(kinds, dict) else None
    outputs = _run(function, views, batch_size or len(views), _image_maker(views, erp) if as_images else None, names)
    results: dict[Name, Any] = {}
    for name, output in outputs.items():
        one = kinds[name] if isinstance(kinds, dict) else kinds
        values = output.values.reshape(-1, len(plan), *output.values.shape[1:])
        check_result(1, (merge.height, 2 * merge.height), values.shape[2], max(values.element_size(), 4), "erp_size")
        merged = merge(one, values, output_name(name))
        grey = one == "logits" or not output.channels
        merged = merged[:, 0] if grey else merged
        merged = merged.reshape(*batch, *merged.shape[1:])
        results[name] = merged if isinstance(erp, Tensor) else _array(merged, grey)
    if list(results) == [None]:
        return results[None]
    return tuple(results.values()) if all(isinstance(name, int) for name in results) else results


def _kinds(kind: object) -> Kind | dict[Name, Kind]:
    """One kind for all outputs, or the kind of each."""
    if isinstance(kind, Mapping) and kind:
        return {name: check_kind(one) for name, one in kind.items()}
    if isinstance(kind, list | tuple) and kind:
        return {number: check_kind(one) for number, one in enumerate(kind)}
    return check_kind(kind)


def _check_align(align: object, kinds: Kind | dict[Name, Kind]) -> None:
    if align is None:
        return
    if align not in get_args(Align):
        raise PanoramaError(f"unknown align {short(align)}: choose from {', '.join(get_args(Align))}, or None")
    if not set(kinds.values() if isinstance(kinds, dict) else (kinds,)) & set(DEPTHS):
        raise PanoramaError(f"align={align!r} is for depth: pass kind= one of {', '.join(DEPTHS)}, or align=None")


def _height(erp_size: Size | None, own: int) -> int:
    if erp_size is None:
        return own
    height, width = (erp_size, 2 * erp_size) if isinstance(erp_size, int) else size_pair(erp_size, "erp_size")
    if height < 1 or width != 2 * height:
        raise PanoramaError(f"erp_size must be a positive height or (height, 2 * height), got {short(erp_size)}")
    return height


def _native(plan: ViewPlan, width: int) -> tuple[int, int]:
    sizes = np.array([native_size(view, width) for view in plan]).max(axis=0)
    return int(sizes[0]), int(sizes[1])


def _seen(plan: ViewPlan, height: int) -> ndarray:
    """Which pixels of a small panorama a view sees."""
    rays = equirect_to_rays(pixel_centres((height, 2 * height)), (height, 2 * height))
    seen = np.zeros((height, 2 * height), bool)
    for view in plan:
        seen |= view.rays_to_pixels(rays, (1, 1))[1]
    return seen


def _run(
    function: Callable[[Any], Any],
    views: Shaped[Tensor, "n channels height width"],
    batch_size: int,
    convert: Callable[[Tensor], list[Image]] | None,
    names: list[Name] | None,
) -> dict[Name, Output]:
    """All outputs for all views."""
    batches = list(_batches(function, views, batch_size, convert, names))
    whole = {}
    for name, first in batches[0].items():
        parts = [batch[name].values if name in batch else None for batch in batches]
        kinds = {None if part is None else (tuple(part.shape[1:]), part.dtype) for part in parts}
        if len(kinds) > 1:
            found = short(sorted(map(str, kinds)))
            raise PanoramaError(f"{output_name(name)} must have one shape and dtype in all batches, got {found}")
        whole[name] = Output(torch.cat([part for part in parts if part is not None]), first.channels)
    return whole


def _batches(
    function: Callable[[Any], Any],
    views: Shaped[Tensor, "n channels height width"],
    batch_size: int,
    convert: Callable[[Tensor], list[Image]] | None,
    names: list[Name] | None,
) -> Iterator[dict[Name, Output]]:
    for batch in torch.split(views, batch_size):
        yield read_outputs(function(batch if convert is None else convert(batch)), len(batch), names)


def _image_maker(views: Tensor, erp: Any) -> Callable[[Tensor], list[Image]]:
    """A function that converts views `[n, C, h, w]` to Pillow images."""
    from PIL import Image as pillow

    like = erp if is_image(erp) else None
    channels = views.shape[1]
    if like is None and (views.dtype != torch.uint8 or channels not in (1, 3, 4)):
        raise PanoramaError(
            f"as_images=True needs a uint8 panorama with 1, 3 or 4 channels, got {views.dtype} with {channels}: "
            "convert it first, or let the function take tensors"
        )

    def convert(batch: Tensor) -> list[Image]:
        pixels = batch.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        pixels = pixels[..., 0] if channels == 1 else pixels
        return [pillow.fromarray(one) if like is None else image_from_array(one, like) for one in pixels]

    return convert


def _array(merged: Tensor, grey: bool) -> ndarray:
    values = merged.detach().cpu()
    values = values.float() if values.dtype == torch.bfloat16 else values
    return np.ascontiguousarray((values if grey else values.movedim(-3, -1)).numpy())
