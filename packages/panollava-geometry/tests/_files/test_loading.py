"""Loading from every kind of source."""

import io

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, extract_views, load_equirectangular, load_views, plan_views
from PIL import Image


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
def test_every_kind_of_source(rgb_array, encoded, tmp_path, kind):
    small = np.ascontiguousarray(rgb_array[::8, ::8])
    data = encoded(small, kind, **({"lossless": True} if kind == "WEBP" else {}))
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(data)
    expected = torch.from_numpy(small).permute(2, 0, 1)
    for source in (path, str(path), data, io.BytesIO(data), Image.fromarray(small), small, expected):
        assert torch.equal(load_equirectangular(source), expected)
    with path.open("rb") as file:
        assert torch.equal(load_equirectangular(file), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_max_width(rgb_array, encoded, kind):
    loaded = load_equirectangular(encoded(rgb_array, kind), max_width=301)
    assert loaded.shape == (3, 150, 300)
    full = torch.from_numpy(rgb_array).permute(2, 0, 1)[None].float()
    exact = torch.nn.functional.interpolate(full, (150, 300), mode="area")
    assert (loaded - exact[0]).abs().mean() < 1
    assert load_equirectangular(encoded(rgb_array, kind), max_width=9999).shape == (3, 1024, 2048)


def test_max_width_must_be_positive():
    with pytest.raises(PanoramaError, match="max_width must be at least 2"):
        load_equirectangular(np.zeros((4, 8), np.uint8), max_width=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("strategy", ["anyres_e2p", "sliding_window"])
def test_load_views_is_extract_views(rgb_array, encoded, kind, strategy):
    data, plan = encoded(rgb_array, kind, **({"quality": 98} if kind == "JPEG" else {})), plan_views(strategy)
    views = load_views(data, plan, 64)
    expected = extract_views(load_equirectangular(data), plan, 64)
    assert views.dtype == torch.uint8
    assert (views.float() - expected.float()).abs().mean() < 0.5
    assert (views.int() - expected.int()).abs().max() <= 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 8), np.int64), "uint8 or uint16"),
        (np.zeros((4, 8, 2), np.uint8), "uint8 or uint16"),
        (np.zeros((4, 9, 3), np.uint8).repeat(2, 1), "18x4 is not a full"),
        (torch.zeros(3, 4, 8), "uint8"),
        (torch.zeros(4, 8, 3, dtype=torch.uint8), "uint8"),
        (torch.zeros(3, 4, 12, dtype=torch.uint8), "12x4 is not a full"),
    ],
)
def test_bad_arrays(source, message):
    with pytest.raises(PanoramaError, match=message):
        load_equirectangular(source)


def test_the_orientation_card(shared):
    """Ahead is green, right orange, behind magenta, left cyan, above yellow, below blue-violet."""
    views = load_views(shared / "panoramas" / "orientation-card.jpg", plan_views("cubemap"), 64).float()
    colours = views[:, :, 24:28, 20:28].mean((2, 3))
    expected = torch.tensor(
        [[115, 255, 124], [255, 212, 122], [255, 128, 255], [115, 255, 255], [255, 255, 124], [124, 128, 255]]
    )
    assert ((colours - expected).abs().max(1).values < 45).all()
