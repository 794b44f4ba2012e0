"""What the user says an image shows, for images whose shape and metadata do not say it."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._views._sphere import Degrees


@dataclass(frozen=True)
class Layout:
    """What an image shows. With the defaults, its metadata and its shape decide.

    Raises:
        PanoramaError: The values are invalid or exclude each other.
    """

    whole_sphere: bool = False
    hfov_deg: Degrees | None = None
    partial: bool = False
    eye: Literal["left", "right"] | None = None

    def __post_init__(self) -> None:
        if self.hfov_deg is not None:
            is_number = isinstance(self.hfov_deg, Real) and not isinstance(self.hfov_deg, bool)
            if not is_number or not 0 < self.hfov_deg <= 360:
                raise PanoramaError(
                    f"hfov_deg (--hfov) must be a number of degrees in (0, 360], got {short(self.hfov_deg)}; "
                    "it is the horizontal field of view of the image"
                )
        if self.eye not in (None, "left", "right"):
            raise PanoramaError(f"eye must be 'left', 'right' or None, got {short(self.eye)}")
        given = [
            name
            for name, is_given in (
                ("whole_sphere", self.whole_sphere),
                ("hfov_deg", self.hfov_deg is not None),
                ("partial", self.partial and self.hfov_deg is None),
                ("eye", self.eye is not None),
            )
            if is_given
        ]
        if len(given) > 1:
            raise PanoramaError(f"{' and '.join(given)} exclude each other; pass one of them")

    @property
    def is_partial(self) -> bool:
        """Whether the image shows a part of the sphere, with a known or unknown field of view."""
        return self.partial or self.hfov_deg is not None

    @property
    def is_given(self) -> bool:
        """Whether the user said anything. Metadata about the area of the image is then ignored."""
        return self != AUTOMATIC


#: The metadata and the shape of the image decide.
AUTOMATIC = Layout()

#: Field of view of the short side of a panorama of a telephone, in degrees: a lens of 28 mm, held upright.
USUAL_SHORT_SIDE_DEG = 65.0


def short_side_deg(focal_length_35mm: float | None) -> float:
    """Field of view of the short side of a panorama that was swept with a camera held across the sweep, in degrees.

    Its short side is then the long side of a frame, 36 mm on 35 mm film.
    """
    if focal_length_35mm is None or not 5 <= focal_length_35mm <= 500:
        return USUAL_SHORT_SIDE_DEG
    return 2 * math.degrees(math.atan(18 / focal_length_35mm))
