"""The colours, under the colour vision of everybody."""

import itertools

import numpy as np
import pytest
from panollava_geometry.drawing import EMPTY, GREY, INK, PALETTE, PAPER, contrast, sequential, text_on

#: Full dichromacy after Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
#: Deficiency" (IEEE TVCG 15(6), 2009, doi:10.1109/TVCG.2009.113), table for severity 1.0: linear RGB = M · linear RGB.
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
#: Linear sRGB to XYZ, and the white point D65 (IEC 61966-2-1).
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(colours, vision):
    """CIELAB of sRGB colours as somebody sees them."""
    encoded = np.asarray(colours) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.array(VISION[vision]).T, 0, 1) @ XYZ.T / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


@pytest.mark.parametrize("vision", VISION)
def test_everybody_can_tell_the_colours_apart(vision):
    seen = lab(PALETTE, vision)
    distance = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(range(7), 2)}
    assert min(distance.values()) > 15  # a just noticeable difference is 2.3
    assert min(distance[min(k, (k + 1) % 7), max(k, (k + 1) % 7)] for k in range(7)) > 24


@pytest.mark.parametrize("vision", VISION)
def test_the_sequential_map_grows_evenly_in_lightness(vision):
    lightness = lab(sequential(np.linspace(0, 1, 33)), vision)[:, 0]
    steps = np.diff(lightness)
    assert steps.min() > 0.5 * steps.mean()
    assert steps.max() < 2 * steps.mean()
    assert lightness[0] < 15
    assert lightness[-1] > 90


def test_texts_have_contrast_on_every_colour():
    assert min(contrast(text_on(colour), colour) for colour in (*PALETTE, PAPER, INK, EMPTY)) >= 4.4
    assert min(contrast(INK, PAPER), contrast(GREY, PAPER)) >= 4.5
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


def test_values_outside_of_the_range_get_the_ends():
    values = np.array([-np.inf, -1.0, np.nan, 0.0, 1.0, 7.0, np.inf], dtype=np.float32)
    drawn = sequential(values)
    assert (drawn[:4] == drawn[0]).all()
    assert (drawn[4:] == drawn[-1]).all()
    assert drawn.dtype == np.uint8
