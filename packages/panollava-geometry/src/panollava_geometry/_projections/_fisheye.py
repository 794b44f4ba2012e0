"""Fisheye and dual fisheye images to equirectangular panoramas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._sizes import check_result
from panollava_geometry._arrays._tensors import cast_like
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._views._fisheye_view import FisheyeView, Projection
from panollava_geometry._views._sphere import Degrees, equirect_to_rays
from panollava_geometry._views._view_base import pixel_centres

#: Reads per panorama pixel and axis where the fisheye image is finer.
_MAX_FINE = 4
#: Panorama pixels computed at a time, to limit the memory.
_STRIP_PIXELS = 2**19


@dataclass(frozen=True)
class _Lens:
    """A circle in the image, in pixels, and what it sees."""

    view: FisheyeView
    centre: tuple[float, float]
    radius: float


def fisheye_to_equirect(
    image: Any,
    view: FisheyeView,
    height: int,
    *,
    centre: tuple[Degrees, Degrees] | None = None,
    radius: Degrees | None = None,
) -> tuple[Any, Any]:
    """Convert the image of a fisheye lens to an equirectangular panorama.

    A pixel of the panorama is read bilinearly in the fisheye image, and is the mean of up to 4 x 4 reads where the
    fisheye image is finer. A full-frame fisheye, whose circle is larger than the image, has a `radius` that reaches
    beyond the image.

    Args:
        image: uint8 or floating point: a tensor `[..., C, h, w]`, or an array `[h, w]` or `[h, w, C]`. Differentiable.
        view: Direction, field of view and projection of the lens. To undo a rotation of the camera, turn the view.
        height: Height of the panorama in pixels; the width is twice that.
        centre: Centre of the circle in pixels (x, y), where the first pixel spans 0 to 1. Default: of the image.
        radius: Radius in pixels at which the field of view ends. Default: half of the shorter side.

    Returns:
        The panorama `[..., C, H, 2H]` (or an array `[H, 2H]` or `[H, 2H, C]`), of the dtype of the image and 0 where
        the lens does not see, and a boolean mask `[H, 2H]` of what it sees.

    Raises:
        PanoramaError: The image is of another type or shape, or a number is impossible.

    Example:
        >>> import torch
        >>> from panollava_geometry import FisheyeView, fisheye_to_equirect
        >>> panorama, mask = fisheye_to_equirect(torch.ones(3, 64, 64), FisheyeView(0.0, hfov_deg=180.0), 32)
        >>> panorama.shape, round(float(mask.float().mean()), 2)
        (torch.Size([3, 32, 64]), 0.5)
    """
    values = _tensor(image)
    if not isinstance(view, FisheyeView):
        raise PanoramaError(f"view must be a FisheyeView, got {type(view).__name__}")
    rows, columns = values.shape[-2:]
    middle = (columns / 2, rows / 2) if centre is None else _pair(centre)
    reach = min(rows, columns) / 2 if radius is None else radius
    if isinstance(reach, bool) or not isinstance(reach, int | float) or not 0 < reach < math.inf:
        raise PanoramaError(f"radius must be a positive number of pixels, got {short(radius)}")
    return _result(image, *_read(values, [_Lens(view, middle, float(reach))], height))


def dual_fisheye_to_equirect(
    image: Any,
    height: int,
    *,
    hfov_deg: Degrees = 190.0,
    projection: Projection = "equidistant",
    rolls_deg: Sequence[Degrees] = (0.0, 0.0),
    back_first: bool = False,
    radius: Degrees | None = None,
) -> tuple[Any, Any]:
    """Convert an unstitched dual fisheye image, two circles side by side, to an equirectangular panorama.

    The lenses look in opposite directions. Where both see, they are blended; nothing is aligned, so near objects can be
    double at the border, as in any image of two lenses with a distance between them. For calibrated lenses, call
    `fisheye_to_equirect` for each of them.

    Args:
        image: uint8 or floating point: a tensor `[..., C, h, 2h]`, or an array `[h, 2h]` or `[h, 2h, C]`.
        height: Height of the panorama in pixels; the width is twice that.
        hfov_deg: Field of view of each circle in degrees. Usual cameras have 185 to 210.
        projection: As in `FisheyeView`.
        rolls_deg: Roll of the left and the right circle in degrees, clockwise as seen by the lens. Of some cameras, the
            circles are turned by 90°.
        back_first: The left circle is the back of the panorama.
        radius: Radius of the circles in pixels. Default: half of the height.

    Returns:
        The panorama and the mask, as `fisheye_to_equirect`.

    Raises:
        PanoramaError: The image is of another type or shape, or a number is impossible.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry import dual_fisheye_to_equirect
        >>> panorama, mask = dual_fisheye_to_equirect(np.ones((64, 128, 3), np.uint8), 32)
        >>> panorama.shape, bool(mask.all())
        ((32, 64, 3), True)
    """
    values = _tensor(image)
    rows, columns = values.shape[-2:]
    if columns != 2 * rows:
        raise PanoramaError(
            f"a dual fisheye image must be twice as wide as high, got {columns}x{rows}; cut its borders"
        )
    rolls = _pair(rolls_deg, "rolls_deg")
    reach = rows / 2 if radius is None else radius
    if isinstance(reach, bool) or not isinstance(reach, int | float) or not 0 < reach < math.inf:
        raise PanoramaError(f"radius must be a positive number of pixels, got {short(radius)}")
    yaws = (180.0, 0.0) if back_first else (0.0, 180.0)
    lenses = [
        _Lens(FisheyeView(yaw, 0.0, roll, hfov_deg, projection), ((2 * index + 1) * rows / 2, rows / 2), float(reach))
        for index, (yaw, roll) in enumerate(zip(yaws, rolls, strict=True))
    ]
    return _result(image, *_read(values, lenses, height))


def _read(
    image: Shaped[Tensor, "*batch channels rows columns"], lenses: Sequence[_Lens], height: int
) -> tuple[Shaped[Tensor, "*batch channels height width"], Shaped[Tensor, "height width"]]:
    """Blend what the lenses see. The weight of a lens decreases to 0 at the edge of its circle."""
    if isinstance(height, bool) or not isinstance(height, int) or height < 1:
        raise PanoramaError(f"height must be a positive number of pixels, got {short(height)}")
    *batch, channels, rows, columns = image.shape
    check_result(1, (height, 2 * height), channels, max(image.element_size(), 4), "height")
    working = image.reshape(-1, channels, rows, columns)
    working = working if working.dtype == torch.float64 else working.float()
    halves = [(columns * index // len(lenses), columns * (index + 1) // len(lenses)) for index in range(len(lenses))]
    inside = [
        torch.as_tensor(_is_inside(lens, rows, left, right)).to(working)
        for lens, (left, right) in zip(lenses, halves, strict=True)
    ]
    parts = [working[..., left:right] * shape for (left, right), shape in zip(halves, inside, strict=True)]
    finest = max(lens.radius / math.radians(lens.view.hfov_deg / 2) for lens in lenses)
    fine = min(max(math.ceil(finest * math.pi / height - 1e-9), 1), _MAX_FINE)
    strip = max(1, _STRIP_PIXELS // (2 * height * fine * fine))
    strips, masks = [], []
    for top in range(0, height, strip):
        count = min(strip, height - top)
        centres = pixel_centres((count * fine, 2 * height * fine), top * fine)
        rays = equirect_to_rays(centres, (height * fine, 2 * height * fine))
        total = working.new_zeros(len(working), channels, count, 2 * height)
        weights, seen_share = (working.new_zeros(count, 2 * height) for _ in range(2))
        for number, (lens, (left, right)) in enumerate(zip(lenses, halves, strict=True)):
            xy, seen = lens.view.rays_to_pixels(rays, (2, 2))  # the circle has radius 1 around (1, 1)
            unit = np.where(seen[..., None], xy - 1, 0.0)
            place = np.asarray(lens.centre) + unit * lens.radius
            seen = seen & (place > [left, 0]).all(axis=-1) & (place < [right, rows]).all(axis=-1)
            weight = np.where(seen, np.maximum(1 - np.hypot(unit[..., 0], unit[..., 1]), 1e-3), 0.0)
            grid = torch.as_tensor(2 * (place - [left, 0]) / [right - left, rows] - 1).to(working)
            read = partial(functional.grid_sample, padding_mode="border", align_corners=False)
            share = torch.as_tensor(weight).to(working)
            total = total + functional.avg_pool2d(
                read(parts[number], grid.expand(len(working), -1, -1, -1)) * share, fine
            )
            known = read(inside[number][None, None], grid[None])[0] * share
            weights = weights + functional.avg_pool2d(known[None], fine)[0, 0]
            seen &= (known[0] > 0).cpu().numpy()
            both = torch.as_tensor(seen.astype(np.float64)).to(working)
            seen_share = torch.maximum(seen_share, functional.avg_pool2d(both[None, None], fine)[0, 0])
        shown = seen_share >= 0.5
        mean = total / weights.clamp(min=torch.finfo(weights.dtype).tiny)
        strips.append(cast_like(torch.where(shown, mean, torch.zeros_like(mean)), image))
        masks.append(shown)
    return torch.cat(strips, dim=-2).reshape(*batch, channels, height, 2 * height), torch.cat(masks)


def _is_inside(lens: _Lens, rows: int, left: int, right: int) -> Bool[ndarray, "rows columns"]:
    """Which pixels of columns [left, right) have their centre inside the circle. The others are not read."""
    x = np.arange(left, right) + 0.5 - lens.centre[0]
    y = np.arange(rows) + 0.5 - lens.centre[1]
    return np.asarray(np.hypot(x, y[:, None]) <= lens.radius)


def _tensor(image: Any) -> Tensor:
    """The image as a tensor `[..., C, h, w]`."""
    expected = "an image must be a uint8 or floating-point tensor [..., C, h, w], or an array [h, w] or [h, w, C]"
    if isinstance(image, ndarray) and image.ndim in (2, 3) and image.dtype.name in ("uint8", "float32", "float64"):
        native = np.require(image, dtype=image.dtype.newbyteorder("="), requirements=["C", "W"])
        values = torch.from_numpy(native[..., None] if native.ndim == 2 else native).permute(2, 0, 1)
    elif isinstance(image, Tensor) and image.ndim >= 3 and (image.dtype == torch.uint8 or image.is_floating_point()):
        values = image
    else:
        given = f"{image.dtype} {tuple(image.shape)}" if isinstance(image, Tensor | ndarray) else type(image).__name__
        raise PanoramaError(f"{expected}, got {given}")
    if not all(values.shape):
        raise PanoramaError(f"{expected}, got an empty one {tuple(image.shape)}")
    return values


def _result(image: Any, panorama: Tensor, mask: Tensor) -> tuple[Any, Any]:
    """The panorama and the mask in the kind of the image."""
    if not isinstance(image, ndarray):
        return panorama, mask
    array = panorama[0] if image.ndim == 2 else panorama.permute(1, 2, 0)
    return np.ascontiguousarray(array.numpy()), mask.numpy()


def _pair(values: Any, name: str = "centre") -> tuple[float, float]:
    numbers = tuple(values) if isinstance(values, Sequence) and not isinstance(values, str) else ()
    if len(numbers) != 2 or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
        raise PanoramaError(f"{name} must be a pair of numbers, got {short(values)}")
    return float(numbers[0]), float(numbers[1])
