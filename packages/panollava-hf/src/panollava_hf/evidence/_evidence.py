"""`Evidence`: which parts of the sphere an answer rests on."""

import math
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from panollava_hf.evidence._sphere import angles_deg, directions, map_rays, solid_angles

#: Values that belong to the top of the map, as a share of the largest; cosine of the angle within which its middle is
#: looked for, and how often.
_TOP, _NEAR, _SHIFTS = 0.97, math.cos(math.radians(45)), 8
#: The methods in words.
_METHOD_NAMES = {
    "gradient": "integrated gradients",
    "occlusion": "parts of the panorama blurred in turn",
    "views": "views left out in turn",
}


@dataclass(frozen=True)
class Evidence:
    """Which parts of the sphere an answer rests on.

    Attributes:
        map: Relevance as a density on the sphere, `[H, 2H]` float32 in the layout of an equirectangular image, per
            steradian: never negative, and its integral over the sphere is 1. It is 1 / 4π everywhere if no direction
            matters more than another.
        method: How it was found, a name in `METHODS`.
        question: The question.
        answer: The answer that is explained.
        seconds: Time that it took.
        calls: Calls of the model that it took.
        panorama: The panorama, `[3, h, 2h]` uint8.
        note: What did not go as the method intends, in one line; empty if nothing.
    """

    map: Tensor
    method: str
    question: str
    answer: str
    seconds: float
    calls: int
    panorama: Tensor = field(repr=False)
    note: str = ""

    @property
    def method_name(self) -> str:
        """The method in words, such as "integrated gradients"."""
        return _METHOD_NAMES[self.method]

    @property
    def is_even(self) -> bool:
        """Whether no direction matters more than another; then `peak` means nothing."""
        return float(self.map.max()) < 1.01 / (4 * math.pi)

    @property
    def peak(self) -> tuple[float, float]:
        """Yaw and pitch of the most relevant direction in degrees; of a flat top, its middle."""
        rays = map_rays(len(self.map)).flatten(0, 1)
        values = self.map.flatten()
        weight = solid_angles(len(self.map)).repeat_interleave(self.map.shape[1]) * (values >= _TOP * values.max())
        centre = rays[int(values.argmax())]
        for _ in range(_SHIFTS):  # to the middle of the part of the top that is near
            near = (rays @ centre) > _NEAR
            mean = (rays * (weight * near)[:, None]).sum(0)
            centre = mean / mean.norm()
        x, y, z = centre.tolist()
        return math.degrees(math.atan2(x, z)), math.degrees(math.asin(max(-1.0, min(1.0, y))))

    def mass(self, yaw_deg: float, pitch_deg: float, radius_deg: float) -> float:
        """The share of the relevance that lies around a direction.

        Args:
            yaw_deg: Direction, in degrees; 0 is ahead, positive to the right.
            pitch_deg: Direction, in degrees; positive up.
            radius_deg: Largest angle from it, in degrees.

        Returns:
            A number from 0 to 1. For a uniform map it is about (1 - cos radius) / 2.
        """
        height = len(self.map)
        centre = directions(torch.tensor([yaw_deg]), torch.tensor([pitch_deg]))
        inside = angles_deg(map_rays(height), centre)[0] <= radius_deg
        return float((self.map * solid_angles(height)[:, None])[inside].sum())

    def draw(self, width: int = 1600) -> Image.Image:
        """The map over the panorama, with a legend, the question and the answer.

        Args:
            width: Width of the image in pixels.
        """
        from panollava_hf.evidence._draw import draw

        return draw(self, width)
