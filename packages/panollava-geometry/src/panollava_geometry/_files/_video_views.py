"""Views and rotations of a stream of frames. One frame is in memory at a time."""

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._options import Backend, Interpolation
from panollava_geometry._arrays._sizes import Size, size_pair
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._files._video import VideoFrame
from panollava_geometry._planning._plan import ViewPlan, Views
from panollava_geometry._planning._poses import CameraPoses
from panollava_geometry._projections._extraction import extract_views
from panollava_geometry._projections._rotation import rotate_equirectangular
from panollava_geometry._views._views import View

#: What each frame shows, as `extract_video` takes it.
FrameViews = View | ViewPlan | CameraPoses | Iterable[Views | CameraPoses] | Callable[[Any], Views | CameraPoses]
#: Degrees: one number for all frames, or one per frame.
FrameAngles = float | int | Tensor | ndarray | Iterable[float | int | Tensor]


def extract_video(
    frames: Iterable[Any],
    views: FrameViews,
    size: Size,
    *,
    antialias: bool = True,
    align_corners: bool = False,
    interpolation: Interpolation = "bilinear",
    backend: Backend = "auto",
) -> Generator[Any]:
    """Extract the views of every frame of a video, one frame at a time.

    Args:
        frames: The frames: those of `video_frames`, or panoramas as `extract_views` takes them (tensors, arrays or
            Pillow images). They are read when their views are asked for.
        views: A `ViewPlan` or a view is the same for all frames, as are `CameraPoses` `[V]`. `CameraPoses` `[T, V]`, a
            list or a generator has one item per frame: a view, a plan, a list of views, or `CameraPoses` `[V]`. A
            function is called with each frame and returns such an item.
        size: Height and width of every view in pixels, or one number for both.
        antialias: As in `extract_views`, like the following arguments.
        align_corners: The field of view spans the centres of the outer pixels.
        interpolation: `bilinear` or `nearest`.
        backend: The backend.

    Yields:
        The views of each frame, as `extract_views` returns them: `[V, C, h, w]` of a tensor or a `VideoFrame`.

    Raises:
        PanoramaError: A frame is not a panorama (the message names its number), or frames and views are not equally
            many.

    Example:
        >>> from panollava_geometry import CameraPoses
        >>> from panollava_geometry.video import extract_video
        >>> import torch
        >>> frames = (torch.zeros(3, 64, 128) for _ in range(3))
        >>> poses = CameraPoses(yaw_deg=torch.tensor([[0.0], [10.0], [20.0]]))
        >>> [tuple(views.shape) for views in extract_video(frames, poses, 32)]
        [(1, 3, 32, 32), (1, 3, 32, 32), (1, 3, 32, 32)]
    """
    reading: dict[str, Any] = {
        "antialias": antialias,
        "align_corners": align_corners,
        "interpolation": interpolation,
        "backend": backend,
    }
    pair = size_pair(size)
    items, count = _views_of_frames(views)

    def read(frame: Any, item: Any) -> Any:
        panorama = frame.panorama if isinstance(frame, VideoFrame) else frame
        return extract_views(panorama, item(frame) if callable(item) else item, pair, **reading)

    return _each(frames, items, count, "views", read)


def rotate_video(
    frames: Iterable[Any],
    yaw_deg: FrameAngles = 0.0,
    pitch_deg: FrameAngles = 0.0,
    roll_deg: FrameAngles = 0.0,
    *,
    interpolation: Interpolation = "bilinear",
) -> Generator[Any]:
    """Rotate every frame of a video, one frame at a time, for example to undo the motion of the camera.

    Args:
        frames: As in `extract_video`.
        yaw_deg: Rotation to the right in degrees: a number for all frames, or one per frame, as a tensor, an array, a
            list or a generator.
        pitch_deg: Rotation upwards in degrees, likewise.
        roll_deg: Clockwise rotation in degrees, likewise.
        interpolation: `bilinear` or `nearest`.

    Yields:
        The rotated frames, each of the same kind as the frame.

    Raises:
        PanoramaError: As by `extract_video`.

    Example:
        >>> from panollava_geometry.video import rotate_video
        >>> import torch
        >>> frames = [torch.arange(4.0).expand(1, 2, 4)] * 2
        >>> [turned[0, 0].tolist() for turned in rotate_video(frames, yaw_deg=[0.0, 90.0])]
        [[0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 0.0]]
    """
    angles = [
        _angles_of_frames(*given) for given in (("yaw_deg", yaw_deg), ("pitch_deg", pitch_deg), ("roll_deg", roll_deg))
    ]
    counts = {count for _, count in angles if count is not None}
    if len(counts) > 1:
        raise PanoramaError(f"angles must be numbers, or one per frame, got {short(sorted(counts))} of them")

    def turn(frame: Any, item: Any) -> Any:
        panorama = frame.panorama if isinstance(frame, VideoFrame) else frame
        turned = rotate_equirectangular(panorama, *item, interpolation=interpolation)
        return replace(frame, panorama=turned) if isinstance(frame, VideoFrame) else turned

    items = zip(*(iterator for iterator, _ in angles), strict=False)
    return _each(frames, items, next(iter(counts), None), "angles", turn)


def _each(
    frames: Iterable[Any], items: Iterator[Any], count: int | None, name: str, compute: Callable[[Any, Any], Any]
) -> Generator[Any]:
    """The results of all frames. Errors name the number of the frame."""
    if isinstance(frames, str | bytes | PurePath) or not isinstance(frames, Iterable):
        raise PanoramaError(
            f"frames must be an iterable of panoramas, such as video_frames(file), got {type(frames).__name__}"
        )
    return _results(frames, items, count, name, compute)


def _results(
    frames: Iterable[Any], items: Iterator[Any], count: int | None, name: str, compute: Callable[[Any, Any], Any]
) -> Generator[Any]:
    read = 0
    for index, frame in enumerate(frames):
        try:
            item = next(items)
        except StopIteration:
            raise PanoramaError(
                f"frame {index} has no {name}: got {name} for {index} frames, and more frames"
            ) from None
        try:
            result = compute(frame, item)
        except PanoramaError as error:
            raise PanoramaError(f"frame {index}: {error}") from error
        yield result
        read += 1
    if count is not None and read != count:
        raise PanoramaError(f"got {name} for {count} frames, but {read} frames: pass as many as there are frames")


def _views_of_frames(views: Any) -> tuple[Iterator[Any], int | None]:
    """What each frame shows, and for how many frames it is given, where that is known."""
    if (
        isinstance(views, View | ViewPlan)
        or callable(views)
        or (isinstance(views, CameraPoses) and len(views.shape) == 1)
    ):
        return itertools.repeat(views), None
    if isinstance(views, CameraPoses):
        if len(views.shape) != 2:
            raise PanoramaError(f"poses of frames must be [T, V], or [V] for all frames, got {tuple(views.shape)}")
        return (views[index] for index in range(len(views))), len(views)
    if isinstance(views, str | bytes) or not isinstance(views, Iterable):
        raise PanoramaError(
            "views must be a ViewPlan, a view, CameraPoses, a function, or one of them per frame, got "
            f"{type(views).__name__}"
        )
    return iter(views), len(views) if isinstance(views, Sized) else None


def _angles_of_frames(name: str, angles: Any) -> tuple[Iterator[Any], int | None]:
    if isinstance(angles, Tensor | ndarray):
        if angles.ndim > 1:
            raise PanoramaError(f"{name} must be a number, or one per frame, got shape {tuple(angles.shape)}")
        return (
            (itertools.repeat(angles), None)
            if angles.ndim == 0
            else (iter(angles if isinstance(angles, Tensor) else angles.tolist()), len(angles))
        )
    if isinstance(angles, str | bytes):
        raise PanoramaError(f"{name} must be a number, or one per frame, got {short(angles)}")
    if isinstance(angles, Iterable):
        return iter(angles), len(angles) if isinstance(angles, Sequence) else None
    return itertools.repeat(angles), None
