"""How a panorama is changed before it is looked for: the same place, seen differently."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panollava_hf._errors import EvaluationError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Distortion:
    """What is drawn at random for each query.

    Attributes:
        yaw: Rotation about the vertical axis in degrees, or "random": any.
        tilt: Angle in degrees between the vertical and the camera's axis, in a random direction.
        roll: Largest further rotation about the direction of view, either way, in degrees.
        noise: Standard deviation of Gaussian noise, in grey levels of 255.
        brightness: Largest change of brightness, as a share: 0.2 multiplies by 0.8 to 1.2.

    Raises:
        EvaluationError: A value is impossible.
    """

    yaw: float | str = "random"
    tilt: float = 0.0
    roll: float = 0.0
    noise: float = 0.0
    brightness: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.yaw, str) and self.yaw != "random":
            raise EvaluationError(f"yaw {self.yaw[:40]!r}: expected a number of degrees, or random")
        limits = {"tilt": 90.0, "roll": 180.0, "noise": 255.0, "brightness": 1.0}
        for name, most in limits.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= most):
                raise EvaluationError(f"{name} {value:g}: expected a number from 0 to {most:g}")
        if not isinstance(self.yaw, str) and not math.isfinite(self.yaw):
            raise EvaluationError(f"yaw {self.yaw}: expected a number of degrees, or random")

    def draw(self, generator: np.random.Generator) -> "Drawn":
        """The values of one query."""
        yaw = generator.uniform(-180, 180) if self.yaw == "random" else float(self.yaw)
        towards = generator.uniform(0, 2 * math.pi)
        pitch, roll = tilted(self.tilt, towards)
        roll += generator.uniform(-1, 1) * self.roll
        brightness = 1 + generator.uniform(-1, 1) * self.brightness
        return Drawn(yaw, pitch, roll, self.noise, brightness, int(generator.integers(2**31)))

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Drawn:
    """How one query differs from its panorama; angles in degrees.

    Attributes:
        yaw_deg: Its middle looks there.
        pitch_deg: Rotation upwards.
        roll_deg: Clockwise rotation.
        noise: Standard deviation of the noise, in grey levels.
        brightness: Factor of the brightness.
        seed: Seed of the noise.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    noise: float
    brightness: float
    seed: int

    def apply(self, panorama: "Tensor") -> "Tensor":
        """The changed panorama `[3, H, 2H]` uint8."""
        import torch
        from panollava_geometry import rotate_equirectangular

        changed = rotate_equirectangular(panorama, self.yaw_deg, self.pitch_deg, self.roll_deg)
        if self.noise == 0 and self.brightness == 1:
            return changed
        levels = changed.float() * self.brightness
        if self.noise:
            generator = torch.Generator().manual_seed(self.seed)
            levels += self.noise * torch.randn(levels.shape, generator=generator)
        return levels.round().clamp(0, 255).to(torch.uint8)


def tilted(tilt_deg: float, towards: float) -> tuple[float, float]:
    """Pitch and roll that together tilt a camera by an angle.

    Args:
        tilt_deg: Angle between the old and the new vertical, below 90.
        towards: Direction in radians: 0 is pitch alone, pi/2 roll alone.

    Example:
        >>> tilted(20.0, 0.0)
        (20.0, 0.0)
        >>> [round(angle, 3) for angle in tilted(20.0, math.pi / 4)]
        [13.995, 14.433]
    """
    pitch = math.asin(math.sin(math.radians(tilt_deg)) * math.cos(towards))
    roll = math.acos(max(-1.0, min(1.0, math.cos(math.radians(tilt_deg)) / math.cos(pitch))))
    return math.degrees(pitch) + 0.0, math.copysign(math.degrees(roll), math.sin(towards)) + 0.0
