"""Views and rotations of a stream of frames, and paths of poses between key poses."""

import math
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from panollava_geometry import (
    CameraPoses,
    EquirectangularView,
    PanoramaError,
    PerspectiveView,
    extract_views,
    plan_views,
    rotate_equirectangular,
    rotation_matrix,
)
from panollava_geometry.video import VideoFrame, extract_video, interpolate_poses, rotate_video
from PIL import Image


@pytest.fixture
def frames():
    return list(torch.randint(0, 256, (4, 3, 32, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)))


def test_one_pose_per_frame(frames):
    """Poses, lists, generators and functions of the frame; tensors, arrays, images and frames of a file."""
    poses = CameraPoses(torch.tensor([[0.0, 90.0], [10.0, 100.0], [20.0, 110.0], [30.0, 120.0]]), 5.0)
    expected = [extract_views(frame, plan, 16) for frame, plan in zip(frames, poses.plans(), strict=True)]
    by_time = {index / 4: plan for index, plan in enumerate(poses.plans())}
    for views in (poses, poses.plans(), list(poses.plans()), iter(poses), (list(plan) for plan in poses.plans())):
        for one, other in zip(extract_video(iter(frames), views, 16), expected, strict=True):
            assert torch.equal(one, other)
    video = [VideoFrame(index, index / 4, frame) for index, frame in enumerate(frames)]
    for views in (poses, lambda frame: by_time[frame.time_s]):
        for one, other in zip(extract_video(video, views, 16), expected, strict=True):
            assert torch.equal(one, other)
    arrays = [frame.permute(1, 2, 0).numpy() for frame in frames]
    for one, other in zip(extract_video(arrays, poses, 16), expected, strict=True):
        np.testing.assert_array_equal(one, other.permute(0, 2, 3, 1))
    images = list(extract_video(map(Image.fromarray, arrays), poses, 16))
    assert [len(views) for views in images] == [2] * 4
    np.testing.assert_array_equal(images[1][1], expected[1][1].permute(1, 2, 0))


@pytest.mark.parametrize("views", [PerspectiveView(30), plan_views("anyres_e2p"), CameraPoses([0.0, 90.0])])
def test_the_same_views_for_all_frames(frames, views):
    for one, frame in zip(extract_video(frames, views, (8, 12), antialias=False), frames, strict=True):
        assert torch.equal(one, extract_views(frame, views, (8, 12), antialias=False))
    labels = list(extract_video(frames, views, 8, interpolation="nearest"))
    assert torch.equal(labels[3], extract_views(frames[3], views, 8, interpolation="nearest"))


def test_a_list_of_views_is_one_view_per_frame(frames):
    views = [PerspectiveView(0), PerspectiveView(90), EquirectangularView(), PerspectiveView(180)]
    for one, frame, view in zip(extract_video(frames, views, 8), frames, views, strict=True):
        assert torch.equal(one, extract_views(frame, view, 8))


def test_one_frame_is_in_memory_at_a_time():
    alive = weakref.WeakSet()

    def endless():
        while True:
            frame = torch.zeros(1, 8, 16)
            alive.add(frame)
            yield frame
            del frame

    views = extract_video(endless(), PerspectiveView(0), 4)
    turned = rotate_video(endless(), yaw_deg=(float(degrees) for degrees in range(10**9)))
    for stream in (views, turned):
        for _ in range(20):
            next(stream)
        assert len(alive) <= 4


def test_rotations_of_frames(frames):
    yaw, roll = torch.tensor([0.0, 10.0, 90.0, 33.0]), [0.0, 1.0, 0.0, 2.0]
    expected = [rotate_equirectangular(f, float(y), 3.0, r) for f, y, r in zip(frames, yaw, roll, strict=True)]
    for given in (yaw, yaw.numpy(), yaw.tolist(), (float(degrees) for degrees in yaw)):
        for one, other in zip(rotate_video(frames, given, 3.0, roll), expected, strict=True):
            assert torch.equal(one, other)
    video = [VideoFrame(index, index / 4, frame) for index, frame in enumerate(frames)]
    for one, frame, other in zip(rotate_video(video, yaw, 3.0, roll), video, expected, strict=True):
        assert (one.index, one.time_s) == (frame.index, frame.time_s)
        assert torch.equal(one.panorama, other)
    views = extract_video(rotate_video(video, yaw, 3.0, roll), PerspectiveView(0), 8)
    for one, other in zip(views, expected, strict=True):
        assert torch.equal(one, extract_views(other, PerspectiveView(0), 8))
    still = list(rotate_video(frames, torch.tensor(90.0)))
    assert torch.equal(still[2], frames[2].roll(-16, -1))


def test_gradients_of_poses_of_frames(frames):
    yaw = torch.zeros(4, 1, requires_grad=True)
    for views in extract_video((frame / 255 for frame in frames), CameraPoses(yaw), 8):
        views.square().sum().backward()
    assert (yaw.grad != 0).all()


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("views", "message"),
    [
        (CameraPoses(torch.zeros(3, 1)), "^frame 3 has no views: got views for 3 frames, and more frames$"),
        ([PerspectiveView(0)] * 5, "^got views for 5 frames, but 4 frames: pass as many"),
        (
            CameraPoses(torch.zeros(2, 2, 1)),
            r"poses of frames must be \[T, V\], or \[V\] for all frames, got \(2, 2, 1\)",
        ),
        ([PerspectiveView(0), "x"], "^frame 1: expected a ViewPlan"),
        ("x", "views must be a ViewPlan, a view, CameraPoses, a function, .* got str"),
        (3, "got int"),
        (lambda frame: None, "^frame 0: expected a ViewPlan, .* got NoneType"),
    ],
)
def test_views_that_do_not_fit(frames, views, message):
    with pytest.raises(PanoramaError, match=message):
        list(extract_video(frames, views, 8))


@pytest.mark.usefixtures("uninstrumented")
def test_frames_and_angles_that_do_not_fit(frames):
    with pytest.raises(PanoramaError, match=r"^frame 1: .* twice as wide as high"):
        list(extract_video([frames[0], frames[1][..., :32]], PerspectiveView(0), 8))
    for value in ("tour.mp4", Path("tour.mp4"), Image.new("RGB", (16, 8)), None):
        for function in (lambda value=value: extract_video(value, PerspectiveView(0), 8), partial(rotate_video, value)):
            with pytest.raises(PanoramaError, match=r"frames must be an iterable of panoramas, such as video_frames"):
                function()
    with pytest.raises(PanoramaError, match="size must be a positive int"):
        extract_video(frames, PerspectiveView(0), 0)
    with pytest.raises(PanoramaError, match=r"^frame 2 has no angles"):
        list(rotate_video(frames, [1.0, 2.0]))
    with pytest.raises(PanoramaError, match=r"one per frame, got \[2, 4\] of them"):
        rotate_video(frames, [1.0, 2.0], torch.zeros(4))
    with pytest.raises(PanoramaError, match="yaw_deg must be a number, or one per frame, got '30'"):
        rotate_video(frames, "30")
    with pytest.raises(PanoramaError, match=r"yaw_deg must be .* got shape \(2, 2\)"):
        rotate_video(frames, torch.zeros(2, 2))
    with pytest.raises(PanoramaError, match=r"^frame 1: yaw_deg must be a finite number of degrees, got nan"):
        list(rotate_video(frames, [0.0, math.nan, 0.0, 0.0]))


def turn_between(a, b):
    """Angle of the rotation from a to b in degrees, from the trace of the matrix."""
    return np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1)))


def test_a_path_turns_around_one_axis_at_constant_speed():
    keys = [(170, 20, 0, 60, 50), (-150, -40, 30, 100, 50), (-100, 70, -20, 40, 90)]
    poses = CameraPoses(*torch.tensor(keys, dtype=torch.float64).unbind(-1))
    at = np.linspace(-1, 7, 33)
    path = interpolate_poses(poses, [0.0, 2.0, 6.0], at)
    assert path.shape == (33, 1)
    ends = [rotation_matrix(*key[:3]) for key in keys]
    for time, matrix, plan in zip(at, path.rotation[:, 0].numpy(), path.plans(), strict=True):
        time = min(max(time, 0.0), 6.0)
        first, start, length = (0, 0.0, 2.0) if time <= 2 else (1, 2.0, 4.0)
        part = (time - start) / length
        whole = turn_between(ends[first], ends[first + 1])
        assert turn_between(ends[first], matrix) == pytest.approx(part * whole, abs=1e-5)
        assert turn_between(matrix, ends[first + 1]) == pytest.approx((1 - part) * whole, abs=1e-5)
        assert plan[0].hfov_deg == pytest.approx(keys[first][3] * (1 - part) + keys[first + 1][3] * part)
        assert plan[0].vfov_deg == pytest.approx(keys[first][4] * (1 - part) + keys[first + 1][4] * part)


def test_paths_of_one_key_of_one_time_and_across_a_pole():
    assert interpolate_poses(CameraPoses(5.0, 10.0), [3.0], 7.0).plan()[0].yaw_deg == pytest.approx(5)
    across = interpolate_poses(CameraPoses([0.0, 180.0], 60.0, [0.0, 180.0]), [0.0, 1.0], [0.5])
    assert across.plans()[0][0].pitch_deg == pytest.approx(90)
    same = interpolate_poses(CameraPoses([[30.0, 40.0]] * 2, -5.0, 2.0), [0.0, 1.0], 0.3).plan()
    assert [view.yaw_deg for view in same] == pytest.approx([30, 40])
    assert [view.roll_deg for view in same] == pytest.approx([2, 2])
    yaw = torch.tensor([0.0, 90.0], requires_grad=True)
    interpolate_poses(CameraPoses(yaw), [0.0, 1.0], 0.25).yaw_deg.sum().backward()
    assert yaw.grad.tolist() == pytest.approx([0.75, 0.25])


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("times", "at", "message"),
    [
        ([0.0], 0.5, r"takes key poses \[K, V\] and K times, got poses \(2,\) and times \(1,\)"),
        ([1.0, 1.0], 0.5, r"times of key poses must increase, got \[1.0, 1.0\]"),
        ([0.0, math.nan], 0.5, "must be finite numbers"),
        ([0.0, 1.0], math.inf, "must be finite numbers"),
        ([0.0, 1.0], [[0.5]], r"at must be one number or \[T\]"),
        ("ab", 0.5, "times must be a number or a tensor of numbers"),
    ],
)
def test_bad_paths(times, at, message):
    with pytest.raises(PanoramaError, match=message):
        interpolate_poses(CameraPoses([0.0, 10.0]), times, at)


def test_a_video_file(tmp_path):
    av = pytest.importorskip("av")
    from panollava_geometry.video import video_frames

    with av.open(str(tmp_path / "tour.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for level in (20, 90, 160, 230):
            frame = av.VideoFrame.from_ndarray(np.full((64, 128, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    keys = CameraPoses([[0.0], [90.0]])
    views = list(
        extract_video(
            video_frames(tmp_path / "tour.mp4"), lambda frame: interpolate_poses(keys, [0.0, 1.0], frame.time_s), 16
        )
    )
    assert [tuple(view.shape) for view in views] == [(1, 3, 16, 16)] * 4
    assert [round(float(view.float().mean()), -1) for view in views] == [20, 90, 160, 230]
