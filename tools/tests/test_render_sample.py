from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.raytracing import Ball, Box, Cone, Noise, direction, trace
from tools.render_sample import main, render

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "assets" / "sample-panorama.jpg"


@pytest.fixture(scope="module")
def sample():
    return np.asarray(Image.open(SAMPLE).convert("RGB")).astype(int)


def color_at(image, yaw_deg, pitch_deg):
    """The pixel of a direction: columns run from yaw -180 to 180, rows from pitch 90 to -90."""
    height, width, _ = image.shape
    column = int((yaw_deg + 180) % 360 / 360 * width) % width
    return image[int((90 - pitch_deg) / 180 * height), column]


def test_size_and_weight(sample):
    assert sample.shape == (1024, 2048, 3)
    assert SAMPLE.stat().st_size < 300_000


@pytest.mark.parametrize(
    ("yaw", "pitch", "strong", "weak"),
    [
        (0, 0, "r", "gb"),  # the red ball ahead
        (90, -8, "rg", "b"),  # the yellow cube on the right
        (180, 5, "g", "rb"),  # the green tower behind, on the seam: seen from either side of it
        (-180 + 4, 5, "g", "rb"),
        (180 - 4, 5, "g", "rb"),
        (-90, -5, "b", "rg"),  # the blue pyramid on the left
        (45, 3, "rb", "g"),  # the purple block ahead on the right
        (-135, 12, "g", "rb"),  # the near tree behind on the left
        (0, -80, "r", "gb"),  # the compass rose's petal that points ahead
        (-60, 60, "b", "r"),  # sky
    ],
)
def test_known_things_lie_in_known_directions(sample, yaw, pitch, strong, weak):
    channels = dict(zip("rgb", color_at(sample, yaw, pitch), strict=True))
    assert min(channels[c] for c in strong) > max(channels[c] for c in weak) + 15, channels


def test_the_sun_is_the_brightest_place(sample):
    near = color_at(sample, -62, 38)
    assert near.min() > 245
    assert color_at(sample, 62, 38).min() < 235


def test_the_seam_is_no_edge(sample):
    across = np.abs(sample[:, 0] - sample[:, -1]).mean()
    beside = np.abs(sample[:, 1:9] - sample[:, :8]).mean()
    assert across < 2 * beside + 1


def test_a_small_rendering_is_the_committed_picture_made_smaller(sample):
    small = render(256, samples=3).astype(int)
    reduced = sample.reshape(128, 8, 256, 8, 3).mean(axis=(1, 3))
    difference = np.abs(small - reduced)
    assert difference.mean() < 3
    assert np.percentile(difference, 99) < 40


@pytest.mark.slow
def test_rendering_again_gives_the_committed_picture(sample, tmp_path):
    main([str(tmp_path / "again.jpg")])
    again = np.asarray(Image.open(tmp_path / "again.jpg")).astype(int)
    assert np.abs(again - sample).mean() < 0.5
    assert np.abs(again - sample).max() < 40


def test_unwritable_target_is_one_line_and_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "missing" / "a.jpg"), "--width", "16"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "a.jpg"), "--width", "15"])
    assert stop.value.code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("solid", "distance", "normal"),
    [
        (Ball(centre=np.array([0.0, 0, 5]), color=(1, 1, 1), radius=2), 3, [0, 0, -1]),
        (Box(centre=np.array([0.0, 0, 5]), color=(1, 1, 1), half=(1, 1, 2)), 3, [0, 0, -1]),
        (Box(centre=np.array([0.0, 0, 5]), color=(1, 1, 1), half=(3, 1, 1), turn_deg=90), 2, [0, 0, -1]),
        (Cone(centre=np.array([0.0, 0, 5]), color=(1, 1, 1), radius=1, top=1, height=2), 4, [0, 0, -1]),
        (
            Cone(centre=np.array([0.0, 0, 5]), color=(1, 1, 1), radius=2, top=0, height=2),
            4,
            [0, 0.5**0.5, -(0.5**0.5)],
        ),
    ],
    ids=["ball", "box", "turned box", "cylinder", "cone"],
)
def test_a_ray_ahead_meets_a_solid_where_it_should(solid, distance, normal):
    hits = trace([solid], np.zeros((2, 3)), np.stack([direction(0), direction(180)]))
    assert hits.index.tolist() == [0, -1]
    np.testing.assert_allclose(hits.distance, [distance, np.inf])
    np.testing.assert_allclose(hits.normal[0], normal, atol=1e-9)


def test_a_cone_is_met_from_above_at_its_tip_and_from_below_at_its_base():
    cone = Cone(centre=np.zeros(3), color=(1, 1, 1), radius=1, top=0, height=2)
    origins = np.array([[0.01, 5.0, 0.0], [0.5, -5.0, 0.0]])
    hits = trace([cone], origins, np.array([[0.0, -1, 0], [0, 1, 0]]))
    np.testing.assert_allclose(hits.distance, [4.02, 4.0])
    np.testing.assert_allclose(hits.normal[1], [0, -1, 0])


def test_noise_is_continuous_and_repeats():
    noise = Noise(0, octaves=1)
    x = np.linspace(-3, 3, 6001)
    values = noise(x, x)
    assert np.abs(np.diff(values)).max() < 0.01
    np.testing.assert_allclose(noise(x + 256, x), noise(x, x), atol=1e-9)
