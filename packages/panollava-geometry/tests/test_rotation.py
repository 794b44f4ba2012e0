import numpy as np
import pytest
import torch
from panollava_geometry import (
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    extract_views,
    rotate_equirectangular,
    rotation_matrix,
)

POSES = [(30, 0, 0), (0, 25, 0), (0, 0, -40), (170, 60, 80)]


@pytest.mark.parametrize("pose", POSES)
def test_values_are_the_function_of_direction(formulas, smooth_panorama, pose):
    turned = rotate_equirectangular(smooth_panorama, *pose)
    expected = formulas.smooth(formulas.panorama(256) @ rotation_matrix(*pose).T)
    np.testing.assert_allclose(turned, expected, atol=5e-4)


@pytest.mark.parametrize("pose", POSES)
def test_a_view_ahead_is_the_view_of_that_pose(smooth_panorama, pose):
    ahead = extract_views(rotate_equirectangular(smooth_panorama, *pose), ViewPlan([PerspectiveView(0)]), 32)
    there = extract_views(smooth_panorama, ViewPlan([PerspectiveView(*pose)]), 32)
    torch.testing.assert_close(ahead, there, atol=1e-3, rtol=0)


def test_there_and_back(smooth_panorama):
    there = rotate_equirectangular(smooth_panorama, pitch_deg=33)
    torch.testing.assert_close(rotate_equirectangular(there, pitch_deg=-33), smooth_panorama, atol=1e-3, rtol=0)


def test_whole_columns_only_move():
    panorama = torch.randint(0, 256, (3, 20, 40), dtype=torch.uint8)
    assert torch.equal(rotate_equirectangular(panorama, 9 * 3), panorama.roll(-3, -1))
    assert torch.equal(rotate_equirectangular(panorama, 0), panorama)


def test_dtype_and_batch(photo_like):
    batch = torch.stack([photo_like, photo_like])
    turned = rotate_equirectangular(batch, 10, 20, 30)
    assert turned.shape == batch.shape
    assert turned.dtype == torch.uint8
    assert torch.equal(turned[0], turned[1])


def test_gradcheck():
    panorama = torch.rand(1, 4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda erp: rotate_equirectangular(erp, 10, 20, 30), (panorama,))


def test_errors():
    with pytest.raises(PanoramaError, match="twice as wide"):
        rotate_equirectangular(torch.zeros(3, 4, 4), 10)
