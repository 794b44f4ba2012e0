"""How a query differs from its panorama: yaw, tilt, colours, and a narrower part of every view."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from panollava_geometry import rotate_equirectangular
from torch import Tensor
from torch.nn.functional import interpolate

#: Pitch and roll of the rotations for training are uniform within this many degrees.
TRAINING_TILT_DEG = 25.0
#: Range of the gain of each colour and of the exponent of all, for the queries with other colours.
GAIN, EXPONENT = (0.6, 1.4), (0.6, 1.6)


@dataclass(frozen=True)
class Change:
    """A kind of query.

    Attributes:
        turned: Whether it is turned by a random yaw.
        tilt_deg: It is tilted by this angle in a random direction.
        recoloured: Whether the colours change.
        visible: Share of the width and height of every view that is kept, and enlarged to the whole view.
    """

    turned: bool = False
    tilt_deg: float = 0.0
    recoloured: bool = False
    visible: float = 1.0


#: Name → kind of query. The last ones are hard, because a baseline that finds everything hides what training changes.
CHANGES = {
    "yaw": Change(turned=True),
    "tilt 20": Change(tilt_deg=20),
    "yaw, tilt 20": Change(turned=True, tilt_deg=20),
    "yaw, tilt 30, colours": Change(turned=True, tilt_deg=30, recoloured=True),
    "yaw, tilt 30, colours, 60 % of views": Change(turned=True, tilt_deg=30, recoloured=True, visible=0.6),
}


def rotate_for_training(panorama: Tensor, rng: np.random.Generator) -> Tensor:
    """A panorama `[3, H, 2H]` under a random yaw, pitch and roll."""
    yaw_deg = rng.uniform(-180, 180)
    pitch_deg, roll_deg = rng.uniform(-TRAINING_TILT_DEG, TRAINING_TILT_DEG, 2)
    return rotate_equirectangular(panorama, float(yaw_deg), float(pitch_deg), float(roll_deg))


def apply(change: Change, panorama: Tensor, rng: np.random.Generator) -> Tensor:
    """The panorama of a query, `[3, H, 2H]` in and out; `crop` does the rest to its views.

    The tilt is about a horizontal axis in a random direction: between two turns by whole columns, which read no pixel.
    """
    columns = 360 / panorama.shape[-1]
    direction_deg = int(rng.integers(panorama.shape[-1])) * columns
    turn_deg = int(rng.integers(panorama.shape[-1])) * columns if change.turned else 0.0
    tilted = rotate_equirectangular(panorama, direction_deg)
    if change.tilt_deg:
        tilted = rotate_equirectangular(tilted, 0.0, change.tilt_deg)
    image = rotate_equirectangular(tilted, turn_deg - direction_deg)
    gains, exponent = rng.uniform(*GAIN, 3), math.exp(rng.uniform(*np.log(EXPONENT)))
    if change.recoloured:
        scaled = (image / 255) ** exponent * torch.from_numpy(gains).float()[:, None, None]
        image = (scaled * 255).round().clamp(0, 255).to(torch.uint8)
    return image


def crop(change: Change, views: Tensor) -> Tensor:
    """The central part of every view `[..., 3, h, w]` that is visible, enlarged to the view."""
    if change.visible == 1:
        return views
    height, width = views.shape[-2:]
    rows, columns = round(height * change.visible), round(width * change.visible)
    top, left = (height - rows) // 2, (width - columns) // 2
    part = views[..., top : top + rows, left : left + columns].flatten(0, -4)
    return interpolate(part, (height, width), mode="bicubic", align_corners=False).view_as(views)
