"""Whole panoramas and dense correspondences, with the bytes that must move and how long a copy of them takes."""

from collections.abc import Callable

import numpy as np
import torch
from panollava_geometry import (
    find_correspondences,
    paste_views,
    plan_views,
    rotate_equirectangular,
)

from tools.bench.harness import compare, milliseconds, table
from tools.bench.peers import RING, as_tensor, panorama

#: Pixels of a view of 90° whose centre has the resolution of a panorama of 4096x2048: 4096 · tan(45°) / π.
NATIVE = 1304


def row(name: str, moved: int, function: Callable[[], object], rounds: int) -> tuple[str, ...]:
    """One line: time, bytes that are read or written, the time of copying half of them, and the ratio."""
    source = torch.ones(moved // 2, dtype=torch.uint8)
    target = torch.zeros_like(source)
    times = compare({"work": function, "copy": lambda: target.copy_(source)}, rounds=rounds, seconds=20)
    work, copy = times["work"], times["copy"]
    return name, milliseconds(work), f"{moved / 1e6:.0f} MB", milliseconds(copy), f"{work / copy:.0f}"


def panorai_rotation(array: np.ndarray) -> np.ndarray:
    """`spherical_rotate` of PanorAi."""
    from panollava_geometry._views._sphere import rotation_matrix
    from panorai.core.numpy import spherical_rotate

    return spherical_rotate(array, rotation_matrix(10.0, 20.0, 30.0))


def floors() -> str:
    """Time of `find_correspondences`, `paste_views` and `rotate_equirectangular` at 4096×2048."""
    grey = panorama(4096)
    tensor, floating = as_tensor(grey), grey.astype(np.float32)
    pairs = find_correspondences(RING, NATIVE)
    columns = (pairs.source_view, pairs.target_view, pairs.source_index, pairs.target_xy, pairs.weight)
    written = sum(column.nbytes for column in columns)
    cube = plan_views("cubemap")
    views = torch.randint(0, 256, (len(cube), 3, 1024, 1024), dtype=torch.uint8)
    pasted = views.nbytes + tensor.nbytes + tensor[0].numel() * 4
    del pairs, columns
    rows = [
        row(
            f"`find_correspondences`, 8 views of {NATIVE}² tokens",
            written,
            lambda: find_correspondences(RING, NATIVE),
            3,
        ),
        row("`paste_views`, 6 views of 1024² (a cubemap), uint8", pasted, lambda: paste_views(views, cube, 2048), 3),
        row(
            "`rotate_equirectangular`, uint8",
            2 * tensor.nbytes,
            lambda: rotate_equirectangular(tensor, 10.0, 20.0, 30.0),
            5,
        ),
        row(
            "PanorAi 3.8.0 `spherical_rotate`, float32",
            2 * floating.nbytes,
            lambda: panorai_rotation(floating),
            3,
        ),
    ]
    header = ("4096×2048", "time", "bytes that must move", "a copy of them", "ratio")
    return (
        f"{table(header, rows)}\n\nThe lower bound is a copy that reads and writes the bytes of inputs and outputs "
        "once; correspondences have no input. Positions are computed in every call: in float64 for correspondences, in "
        "float32 otherwise. The cubemap has smaller pixels than the panorama at its corners, so it is read at 3×3 "
        "points per pixel: 75 million places."
    )
