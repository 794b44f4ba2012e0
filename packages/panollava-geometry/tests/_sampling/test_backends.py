"""The three backends compared with each other, and py360convert with our grid."""

import numpy as np
import py360convert
import pytest
import torch
from panollava_geometry import EquirectangularView, PanoramaError, PerspectiveView, ViewPlan, extract_views
from panollava_geometry._sampling import _opencv_backend as opencv_backend

PLAN = ViewPlan(
    [
        PerspectiveView(0),
        PerspectiveView(137, 0, 0, 100, 60),
        PerspectiveView(180, 20, 25),
        PerspectiveView(20, 45),
        PerspectiveView(0, -80),
        EquirectangularView(),
        EquirectangularView((140, 200), (-30, 50)),
    ]
)


def worst(a, b):
    return int((a.int() - b.int()).abs().max())


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("backend", ["opencv", "auto"])
def test_opencv_agrees_to_a_grey_level(photo_like, noise_panorama, backend, antialias):
    pytest.importorskip("cv2")
    for panorama in (photo_like, noise_panorama):
        ours = extract_views(panorama, PLAN, 48, antialias=antialias, backend="torch")
        theirs = extract_views(panorama, PLAN, 48, antialias=antialias, backend=backend)
        limit = 1 if opencv_backend.is_exact() else 8
        assert worst(ours, theirs) <= limit


@pytest.mark.parametrize("antialias", [True, False])
def test_py360convert_agrees_to_a_grey_level(photo_like, antialias):
    ours = extract_views(photo_like, PLAN, 48, antialias=antialias, backend="torch")
    theirs = extract_views(photo_like, PLAN, 48, antialias=antialias, backend="py360convert")
    assert worst(ours, theirs) <= 1 + (not antialias)


@pytest.mark.parametrize("pose", [(0, 0, 0), (137, 0, 0), (180, 0, 20), (20, 45, -30), (-90, -40, 0)])
def test_align_corners_reproduces_the_grid_of_py360convert(photo_like, pose):
    view = PerspectiveView(*pose, 90, 70)
    options = {"antialias": False, "align_corners": True}
    ours = extract_views(photo_like, ViewPlan([view]), (40, 56), backend="torch", **options)[0]
    array = photo_like.permute(1, 2, 0).numpy()
    yaw, pitch, roll = pose
    theirs = py360convert.e2p(array, (90, 70), yaw, pitch, (40, 56), in_rot_deg=roll)
    assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs.astype(int)).max() <= 2
    same = extract_views(photo_like, ViewPlan([view]), (40, 56), backend="py360convert", **options)
    np.testing.assert_array_equal(same[0].permute(1, 2, 0).numpy(), theirs)


def test_py360convert_takes_floats(photo_like):
    panorama = photo_like.float() / 255
    for antialias in (True, False):
        ours, theirs = (
            extract_views(panorama, PLAN, 32, antialias=antialias, backend=backend)
            for backend in ("torch", "py360convert")
        )
        torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)


def test_auto_takes_torch_for_floats_and_many_channels(photo_like):
    many = torch.cat([photo_like, photo_like])
    assert torch.equal(extract_views(many, PLAN, 16), extract_views(many, PLAN, 16, backend="torch"))


def test_auto_without_opencv_is_torch(photo_like, monkeypatch):
    monkeypatch.setattr(opencv_backend, "is_installed", lambda: False)
    monkeypatch.setattr(opencv_backend, "is_exact", lambda: False)
    assert torch.equal(extract_views(photo_like, PLAN, 16), extract_views(photo_like, PLAN, 16, backend="torch"))
    with pytest.raises(PanoramaError, match=r"pip install 'panollava-geometry\[opencv\]'"):
        extract_views(photo_like, PLAN, 16, backend="opencv")


def test_sides_beyond_16_bits():
    pytest.importorskip("cv2")
    wide = torch.zeros(1, 1, 1, dtype=torch.uint8).expand(1, 16384, 32768)
    plan = ViewPlan([PerspectiveView(0, 90, hfov_deg=1)])
    with pytest.raises(PanoramaError, match=r"cv2\.remap reads at most 32766 pixels per side"):
        extract_views(wide, plan, 8, antialias=False, backend="opencv")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_opencv_channels(photo_like, channels):
    pytest.importorskip("cv2")
    panorama = photo_like[[0, 1, 2, 0]][:channels]
    for size in (16, 100):
        ours, theirs = (extract_views(panorama, PLAN, size, backend=b) for b in ("torch", "opencv"))
        assert worst(ours, theirs) <= (1 if opencv_backend.is_exact() else 8)
