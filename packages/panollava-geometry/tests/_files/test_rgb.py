"""Conversion of image modes to 8-bit RGB."""

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, load_equirectangular, load_views, plan_views
from PIL import Image


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK"])
def test_modes_become_rgb(rgb_array, encoded, mode):
    source = Image.fromarray(np.ascontiguousarray(rgb_array[::16, ::16])).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    loaded = load_equirectangular(encoded(source, kind, **({"quality": 100} if kind == "JPEG" else {})))
    expected = torch.from_numpy(np.array(source.convert("RGB"))).permute(2, 0, 1)
    assert (loaded.int() - expected.int()).abs().max() <= (6 if kind == "JPEG" else 0)


def test_16_bit_is_scaled(encoded):
    values = np.linspace(0, 65535, 32 * 64).reshape(64, 32).T.astype(np.uint16)
    values = np.concatenate([values[:, ::2], values[:, ::-2]], 1)  # the left and right edges meet
    expected = torch.from_numpy((values / 257).round().astype(np.uint8)).expand(3, -1, -1)
    assert torch.equal(load_equirectangular(encoded(Image.fromarray(values))), expected)
    assert torch.equal(load_equirectangular(values), expected)


def test_transparent_parts_are_black_and_masked(rgb_array, encoded):
    rgba = np.dstack([rgb_array[::16, ::16], np.full((64, 128), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    loaded, mask = load_equirectangular(encoded(rgba), return_mask=True)
    assert not loaded[:, :10].any()
    assert (~mask[:10]).all()
    assert mask[10:].all()
    views, seen = load_views(encoded(rgba), plan_views("cubemap"), 8, return_mask=True)
    assert views.shape == (6, 3, 8, 8)
    assert not seen[4, 3:5, 3:5].any()
    assert seen[5].all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((16, 32), np.float32), "tone-map"),
        (np.full((16, 32), 70000, np.int32), "the range of 32-bit integers is not known"),
    ],
)
def test_pixels_of_unknown_range(encoded, values, message):
    with pytest.raises(PanoramaError, match=message):
        load_views(encoded(Image.fromarray(values), "TIFF"), plan_views("cubemap"), 8)
