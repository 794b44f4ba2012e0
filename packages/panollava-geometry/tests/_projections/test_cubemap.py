import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, cubemap_to_equirect, equirect_to_cubemap, plan_views


def test_faces_are_the_function_of_direction(formulas, smooth_panorama):
    faces = equirect_to_cubemap(smooth_panorama, 64)
    for face, view in zip(faces, plan_views("cubemap"), strict=True):
        expected = formulas.smooth(view.rays((256, 256))).reshape(3, 64, 4, 64, 4).mean((2, 4))
        np.testing.assert_allclose(face, expected, atol=1e-3)


def test_panorama_from_exact_faces(formulas):
    faces = torch.from_numpy(np.stack([formulas.smooth(view.rays((128, 128))) for view in plan_views("cubemap")]))
    np.testing.assert_allclose(cubemap_to_equirect(faces, 256), formulas.smooth(formulas.panorama(256)), atol=1e-3)


def test_ten_times_there_and_back_does_not_drift(smooth_panorama):
    panorama = smooth_panorama
    for _ in range(10):
        panorama = cubemap_to_equirect(equirect_to_cubemap(panorama, 128), 256)
    assert (panorama - smooth_panorama).abs().max() < 1e-2
    assert (panorama - smooth_panorama).abs().mean() < 2e-3


def test_edges_of_the_cube_do_not_show(formulas):
    """The error next to the edges of the cube is less than three times the error elsewhere."""
    faces = torch.from_numpy(np.stack([formulas.smooth(view.rays((32, 32))) for view in plan_views("cubemap")]))
    error = np.abs(cubemap_to_equirect(faces, 128).numpy() - formulas.smooth(formulas.panorama(128))).max(0)
    x, y, z = np.abs(np.moveaxis(formulas.panorama(128), -1, 0))
    largest = np.sort(np.stack([x, y, z]), 0)
    near = largest[2] - largest[1] < 0.02
    assert error[near].max() < 3 * error[~near].max()


def test_orientation_of_the_poles():
    faces = torch.zeros(6, 1, 8, 8)
    faces[4, 0, -1] = 1  # the bottom edge of the up face
    faces[5, 0, 0] = 1  # the top edge of the down face
    panorama = cubemap_to_equirect(faces, 64)[0]
    assert panorama[:, 48:80].sum() > 0.9 * panorama.sum()  # both lie ahead


def test_dtypes_and_gradient():
    faces = torch.randint(0, 256, (2, 6, 3, 8, 8), dtype=torch.uint8)
    panorama = cubemap_to_equirect(faces, 4)
    assert panorama.shape == (2, 3, 4, 8)
    assert panorama.dtype == torch.uint8
    exact = torch.rand(6, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: cubemap_to_equirect(f, 3), (exact,))


def test_one_pixel_faces():
    assert cubemap_to_equirect(torch.full((6, 1, 1, 1), 3.0), 4).unique().tolist() == [3.0]


@pytest.mark.parametrize(
    ("shape", "height", "message"),
    [((5, 3, 8, 8), 16, "a cubemap must be"), ((6, 3, 8, 9), 16, "a cubemap must be"), ((6, 3, 8, 8), 0, "positive")],
)
def test_errors(shape, height, message):
    with pytest.raises(PanoramaError, match=message):
        cubemap_to_equirect(torch.zeros(shape), height)
