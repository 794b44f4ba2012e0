import math

import numpy as np
import pytest
from panollava_geometry import EquirectangularView, PanoramaError, PerspectiveView

VIEWS = [
    PerspectiveView(30, 20, 10, 80, 50),
    PerspectiveView(-170, -89, 0, 120),
    EquirectangularView(),
    EquirectangularView((150, 230), (-30, 75)),
]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerspectiveView(math.nan), "yaw_deg must be a finite number"),
        (lambda: PerspectiveView(0, 91), r"pitch_deg must be in \[-90, 90\], got 91"),
        (lambda: PerspectiveView(0, hfov_deg=180), "hfov_deg must be between 0 and 180.*EquirectangularView"),
        (lambda: PerspectiveView(0, vfov_deg=0), "vfov_deg must be between 0 and 180"),
        (lambda: EquirectangularView((10, 10)), "longitude_range_deg must run from left to right"),
        (lambda: EquirectangularView((0, 361)), "at most 360"),
        (lambda: EquirectangularView((0, 10), (10, 0)), "latitude_range_deg must be"),
        (lambda: EquirectangularView((0, math.inf)), "finite"),
    ],
)
def test_errors(make, message):
    with pytest.raises(PanoramaError, match=message):
        make()


def test_rays_follow_the_formulas(formulas):
    view = PerspectiveView(37, -21, 13, 80, 50)
    np.testing.assert_allclose(view.rays((5, 7)), formulas.view(37, -21, 13, 80, 50, 5, 7), atol=1e-12)
    np.testing.assert_allclose(EquirectangularView().rays((8, 16)), formulas.panorama(8), atol=1e-12)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("align_corners", [False, True])
def test_pixels_to_rays_and_back(view, align_corners):
    xy = np.random.default_rng(0).uniform([0.5, 0.5], [8.5, 5.5], (50, 2))
    rays = view.pixels_to_rays(xy, (6, 9), align_corners=align_corners)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1)
    back, seen = view.rays_to_pixels(rays, (6, 9), align_corners=align_corners)
    assert seen.all()
    np.testing.assert_allclose(back, xy, atol=1e-9)


def test_unseen_directions_are_nan():
    xy, seen = PerspectiveView(0).rays_to_pixels(np.array([[0, 0, -1.0], [0, 0, 1.0]]), (4, 4))
    assert seen.tolist() == [False, True]
    assert np.isnan(xy[0]).all()


@pytest.mark.parametrize(
    ("view", "total"),
    [
        (PerspectiveView(5, 20, 7), 4 * math.pi / 6),
        (PerspectiveView(0, 0, 0, 60, 40), 4 * math.asin(math.sin(math.radians(30)) * math.sin(math.radians(20)))),
        (EquirectangularView(), 4 * math.pi),
        (EquirectangularView((0, 90), (0, 90)), math.pi / 2),
    ],
)
def test_solid_angles_add_up(view, total):
    assert view.solid_angles((6, 10)).sum() == pytest.approx(total, rel=1e-12)


def test_solid_angle_of_a_small_pixel_is_cos_cubed():
    view = PerspectiveView(0)
    size = (401, 401)
    pixel = view.solid_angles(size)
    cos = 1 / np.sqrt(1 + (2 * 350.5 / 401 - 1) ** 2 + (2 * 100.5 / 401 - 1) ** 2)
    assert pixel[100, 350] == pytest.approx((2 / 401) ** 2 * cos**3, rel=1e-4)
