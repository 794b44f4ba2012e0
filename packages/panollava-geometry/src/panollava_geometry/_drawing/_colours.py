"""Colours that people with any kind of colour vision can tell apart."""

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy import ndarray

#: Red, green and blue, 0 to 255.
Colour = tuple[int, int, int]

#: Colours for things without an order (views, boxes, classes): the set of Okabe and Ito without black
#: (https://jfly.uni-koeln.de/color/). In this order neighbours, also the last and the first, differ most for all kinds
#: of colour vision: by 24 or more in CIELAB.
PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (204, 121, 167),  # reddish purple
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
    (86, 180, 233),  # sky blue
)
#: Background of figures. The contrast of both colours of text on it is above 4.5 (WCAG 2.2, AA).
PAPER: Colour = (255, 255, 255)
#: Text on the background of figures.
INK: Colour = (12, 18, 26)
#: Small text on the background of figures.
GREY: Colour = (94, 104, 117)
#: Places of a figure without an image.
EMPTY: Colour = (233, 236, 240)

#: Points of the sequential map in OKLab (https://bottosson.github.io/posts/oklab/): lightness grows evenly, and the hue
#: goes from blue to yellow, which is the axis that red-green colour blindness leaves.
_SEQUENCE = np.array([[0.22, 0.00, -0.09], [0.42, -0.01, -0.08], [0.68, -0.03, 0.02], [0.95, -0.03, 0.14]])
_STOPS = (_SEQUENCE[:, 0] - _SEQUENCE[0, 0]) / (_SEQUENCE[-1, 0] - _SEQUENCE[0, 0])
_TO_LMS = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def colour(index: int) -> Colour:
    """A colour of `PALETTE`; they repeat after the last one.

    Example:
        >>> from panollava_geometry.drawing import colour
        >>> colour(0) == colour(7)
        True
    """
    return PALETTE[index % len(PALETTE)]


def text_on(background: Colour) -> Colour:
    """`INK` or `PAPER`, whichever has more contrast on a colour.

    Example:
        >>> from panollava_geometry.drawing import INK, PAPER, text_on
        >>> text_on((240, 228, 66)) == INK, text_on((0, 0, 0)) == PAPER
        (True, True)
    """
    return max((INK, PAPER), key=lambda text: contrast(text, background))


def contrast(one: Colour, other: Colour) -> float:
    """Contrast of two colours, from 1 to 21: (L₁ + 0.05) / (L₂ + 0.05) of WCAG 2.2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def sequential(values: Shaped[ndarray, "*grid"]) -> UInt8[ndarray, "*grid 3"]:
    """Colours for numbers from 0 (dark blue) to 1 (light yellow); lightness grows with the number.

    Args:
        values: Numbers `[...]`. Those outside of [0, 1] get the colour of the nearest end, NaN that of 0.

    Returns:
        RGB `[..., 3]`.

    Example:
        >>> import numpy as np
        >>> from panollava_geometry.drawing import sequential
        >>> sequential(np.array([[0.0, 0.5, 1.0]])).shape
        (1, 3, 3)
    """
    share = np.clip(np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return np.asarray(_table()[np.rint(share * 255).astype(np.intp)])


def _table() -> UInt8[ndarray, "256 3"]:
    steps = np.linspace(0, 1, 256)
    lab = np.stack([np.interp(steps, _STOPS, part) for part in _SEQUENCE.T], axis=-1)
    linear = np.clip((lab @ _TO_LMS.T) ** 3 @ _TO_RGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * encoded).astype(np.uint8))


def _luminance(rgb: Colour) -> float:
    parts = [part / 255 for part in rgb]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
