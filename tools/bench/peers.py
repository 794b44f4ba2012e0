"""The test panorama, the plans, and the libraries that panollava-geometry is compared with."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import py360convert
import torch
from panollava_geometry import PerspectiveView, ViewPlan, plan_views
from panollava_geometry._views._sphere import rays_to_equirect
from py360convert.utils import EquirecSampler

RING = plan_views("e2p", num_views=8)
TILES = plan_views("anyres_e2p", num_views=8)
#: Eight views whose plans differ: pitch, and yaw by no whole number of columns.
VARYING = ViewPlan([PerspectiveView(45.0 * i + 0.013 * i, -35.0 + 10.0 * i) for i in range(8)])


@cache
def panorama(width: int) -> np.ndarray:
    """A uint8 panorama [H, W, 3] with structure at many scales, channels last as decoders return it."""
    rng = np.random.default_rng(0)
    total = np.zeros((width // 2, width, 3), np.float32)
    for cells in (16, 128, width // 8):
        noise = rng.normal(size=(cells // 2, cells, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, width // 2), interpolation=cv2.INTER_CUBIC)
    return np.clip(total * 40 + 128, 0, 255).astype(np.uint8)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """[3, H, W], without a copy."""
    return torch.from_numpy(array).permute(2, 0, 1)


def centred(yaw_deg: float) -> float:
    """Yaw in [-180, 180), as py360convert requires it."""
    return (yaw_deg + 180) % 360 - 180


def by_py360convert(array: np.ndarray, views: Sequence[PerspectiveView], size: int) -> list[np.ndarray]:
    """One `e2p` per view. The library keeps the maps of the last eight calls."""
    return [py360convert.e2p(array, 90, centred(view.yaw_deg), view.pitch_deg, (size, size)) for view in views]


def py360convert_unplanned(array: np.ndarray, views: Sequence[PerspectiveView], size: int) -> list[np.ndarray]:
    """`by_py360convert` without maps of earlier calls."""
    EquirecSampler.from_perspective.cache_clear()
    return by_py360convert(array, views, size)


def by_equilib(array: np.ndarray, views: ViewPlan, size: int) -> torch.Tensor:
    """All views in one call of `equi2pers` on torch. Its yaw is positive to the left."""
    from equilib import equi2pers

    poses = [{"yaw": -math.radians(view.yaw_deg), "pitch": 0.0, "roll": 0.0} for view in views]
    batch = as_tensor(array).expand(len(views), -1, -1, -1).float()
    return equi2pers(batch, rots=poses, height=size, width=size, fov_x=90.0, mode="bilinear")


def panorai_spec(view: PerspectiveView, size: int) -> Any:
    """A view as PanorAi describes it."""
    from panorai.geometry import GnomonicSpec

    return GnomonicSpec(view.pitch_deg, centred(view.yaw_deg), view.hfov_deg, view.hfov_deg, 0.0, (size, size))


def by_panorai(array: np.ndarray, views: Sequence[PerspectiveView], size: int) -> list[np.ndarray]:
    """One `equirectangular_to_gnomonic` per view, which plans in every call. It takes floating point only."""
    from panorai.geometry import equirectangular_to_gnomonic

    floating = array if array.dtype.kind == "f" else array.astype(np.float32)
    images = [equirectangular_to_gnomonic(floating, panorai_spec(view, size)).data for view in views]
    return images if array.dtype.kind == "f" else [np.rint(image).astype(array.dtype) for image in images]


def cached_maps(views: ViewPlan, size: int, shape: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fixed-point maps for cv2.remap, the lower bound: one read per output pixel and nothing else."""
    maps = []
    for view in views:
        xy = (rays_to_equirect(view.rays((size, size)), shape) - 0.5).astype(np.float32)
        maps.append(cv2.convertMaps(*(np.ascontiguousarray(xy[..., i]) for i in (0, 1)), cv2.CV_16SC2))
    return maps
