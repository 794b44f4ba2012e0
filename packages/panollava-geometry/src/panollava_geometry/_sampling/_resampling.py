"""Resampling maps: which patch of the panorama a view needs, how far it is reduced, and where it is read.

A map is planned once in float64 and cached. The yaw of a view is split into whole columns, which only move the patch,
and a remainder, which is part of the plan. So rolling the panorama by k columns and turning the view by k columns are
the same computation, and the views of a ring can share one map.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from panollava_geometry._arrays._bounded_cache import BoundedCache, RecentKeys
from panollava_geometry._sampling._sampled_grid import SampledGrid, plan_sampled_grid
from panollava_geometry._sampling._separable_filter import SeparableFilter, plan_separable_filter
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._views import View

ResamplingMap = SampledGrid | SeparableFilter
_cache: BoundedCache[ResamplingMap] = BoundedCache(max_bytes=256 * 2**20)
_seen = RecentKeys(most=4096)


def find_resampling_maps(
    views: Iterable[View],
    size: tuple[int, int],
    erp: tuple[int, int],
    antialias: bool,
    align_corners: bool,
    precise: bool,
) -> list[tuple[ResamplingMap, int]]:
    """The map of every view and its anchor: the column of the panorama from which the patch's columns count.

    Args:
        views: The views.
        size: Height and width of the output.
        erp: Height and width of the panorama.
        antialias: Average over the footprint of each pixel, or read one point at its centre.
        align_corners: The field of view spans the centres of the outer pixels.
        precise: Keep coordinates and weights in float64 instead of float32.
    """
    maps = []
    for view in views:
        canonical, anchor = split_yaw(view, erp[1])
        options = (canonical, size, erp, antialias, align_corners, precise)
        maps.append((_cache.get(options, partial(_plan, *options)), anchor))
    return maps


def next_resampling_map(
    view: View, size: tuple[int, int], erp: tuple[int, int], antialias: bool, align_corners: bool
) -> tuple[ResamplingMap, int]:
    """The map of one view in float32 and its anchor, valid until this thread asks for the next one.

    A map is cached from the second time on. The first time, it is planned in memory that the thread keeps: most maps of
    moving cameras are needed once, and the pages of fresh memory cost as much time as the planning.
    """
    canonical, anchor = split_yaw(view, erp[1])
    options = (canonical, size, erp, antialias, align_corners, False)
    if _seen.add(options):
        return _plan(*options, reuse=True), anchor
    return _cache.get(options, partial(_plan, *options)), anchor


def clear_cache() -> None:
    """Drop all cached maps, to free their memory or to measure the planning."""
    _cache.clear()
    _seen.clear()


def split_yaw(view: View, width: int) -> tuple[View, int]:
    """Turn a view by whole columns to a yaw of almost 0. Returns the turned view and the column it was turned from."""
    if isinstance(view, EquirectangularView):
        centre_deg = sum(view.longitude_range_deg) / 2
    else:
        centre_deg = view.yaw_deg
    columns = centre_deg / 360 * width
    whole = math.floor(columns + 0.5)
    rest_deg = round(columns - whole, 6) * 360 / width + 0.0
    anchor = (whole + width // 2) % width
    if not isinstance(view, EquirectangularView):
        return replace(view, yaw_deg=rest_deg), anchor
    left, right = view.longitude_range_deg
    half = round((right - left) / 2, 9)
    return replace(view, longitude_range_deg=(rest_deg - half, rest_deg + half)), anchor


def _plan(
    view: View,
    size: tuple[int, int],
    erp: tuple[int, int],
    antialias: bool,
    align_corners: bool,
    precise: bool,
    reuse: bool = False,
) -> ResamplingMap:
    if antialias and isinstance(view, EquirectangularView):
        separable = plan_separable_filter(view, size, erp, align_corners)
        if precise:
            return separable
        row_weight, column_weight = (w.astype(np.float32) for w in (separable.row_weight, separable.column_weight))
        return replace(separable, row_weight=row_weight, column_weight=column_weight)
    return plan_sampled_grid(view, size, erp, antialias, align_corners, precise, reuse)
