"""The frames of a panoramic video. Needs the extra `[video]`."""

import contextlib
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from panollava_geometry._errors import PanoramaError, boundary, short
from panollava_geometry._files._loading import Eye, load_equirectangular
from panollava_geometry._metadata._spherical_video import SphericalVideo, read_spherical
from panollava_geometry._sources._file_kinds import HEAD, file_kind
from panollava_geometry._sources._source import FileSource, check_pixels, open_file, source_name
from panollava_geometry._views._sphere import Degrees

#: FFmpeg's reader for each kind of file. No other reader runs: playlists open further files and addresses.
_READERS = {"mp4": "mp4", "matroska": "matroska", "avi": "avi"}
_REMEDY = "the file is damaged, or in a codec that this FFmpeg does not have"


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame of a panoramic video.

    Args:
        index: Its number in the video; the first is 0.
        time_s: Its time in seconds from the start of the video.
        panorama: uint8 `[3, H, 2H]`.
    """

    index: int
    time_s: float
    panorama: UInt8[Tensor, "3 height width"]


@dataclass(frozen=True)
class VideoInfo:
    """What a video file is.

    Args:
        format: FFmpeg's name of its reader.
        codec: FFmpeg's name of its codec.
        size: Width and height in pixels.
        seconds: Its length; None: not known.
        frames_per_second: Mean rate of the frames; None: not known.
        spherical: What the metadata of an MP4 or MOV file says about its sphere; None: nothing.
    """

    format: str
    codec: str
    size: tuple[int, int]
    seconds: float | None
    frames_per_second: float | None
    spherical: SphericalVideo | None = None


def video_frames(
    source: FileSource,
    *,
    every_s: Degrees | None = None,
    max_frames: int | None = None,
    max_width: int | None = None,
    whole_sphere: bool = False,
    hfov_deg: Degrees | None = None,
    partial: bool = False,
    eye: Eye | None = None,
) -> Generator[VideoFrame]:
    """Read the frames of an equirectangular video, one at a time.

    Args:
        source: An MP4, MOV, WebM, Matroska or AVI file: path, http(s) URL, bytes or binary file object.
        every_s: Seconds between the frames that are returned: the first frame at or after each multiple. Default: all
            frames.
        max_frames: Most frames that are returned.
        max_width: Maximum width of the frames in pixels.
        whole_sphere: As in `load_equirectangular`, like the following arguments.
        hfov_deg: Horizontal field of view of a partial panorama in degrees.
        partial: The frames are a part of the sphere of unknown field of view.
        eye: Load the "left" or the "right" image of a stereo video.

    Yields:
        The frames, with their number and time.

    Raises:
        PanoramaError: PyAV is not installed, the file is not a video or is damaged, or its frames are not panoramas.

    Example:
        >>> from panollava_geometry.files import video_frames
        >>> for frame in video_frames("tour.mp4", every_s=1.0, max_width=1024):  # doctest: +SKIP
        ...     print(frame.time_s, frame.panorama.shape)
    """
    if every_s is not None and (isinstance(every_s, bool) or not 0 < every_s < math.inf):
        raise PanoramaError(f"every_s must be a positive number of seconds, got {short(every_s)}")
    if max_frames is not None and (isinstance(max_frames, bool) or max_frames < 1):
        raise PanoramaError(f"max_frames must be at least 1, got {short(max_frames)}")
    options: dict[str, Any] = {
        "max_width": max_width,
        "whole_sphere": whole_sphere,
        "hfov_deg": hfov_deg,
        "partial": partial,
        "eye": eye,
    }
    return _frames(source, every_s, max_frames, options)


def video_info(source: FileSource, name: str | None = None) -> VideoInfo:
    """Report what a video file is. No frame is decoded.

    Args:
        source: As in `video_frames`.
        name: Its name in messages. Default: that of the source.

    Raises:
        PanoramaError: PyAV is not installed, or the file is not a video or is damaged.
    """
    name = source_name(source) if name is None else name
    with (
        _open(source, name) as (container, stream, spherical),
        boundary(f"{name}: the video cannot be read", _REMEDY),
    ):
        ticks = None if stream.duration is None or stream.time_base is None else stream.duration * stream.time_base
        whole = None if container.duration is None else container.duration / 1e6
        rate = stream.average_rate
        return VideoInfo(
            format=container.format.name.split(",")[0],
            codec=stream.codec_context.name,
            size=(stream.codec_context.width, stream.codec_context.height),
            seconds=whole if ticks is None else float(ticks),
            frames_per_second=None if rate is None else float(rate),
            spherical=spherical,
        )


def _frames(
    source: FileSource, every_s: Degrees | None, max_frames: int | None, options: dict[str, Any]
) -> Generator[VideoFrame]:
    name = source_name(source)
    returned, due = 0, 0
    with _open(source, name) as (container, stream, spherical):
        options = _with_metadata(options, spherical, name)
        decoder = container.decode(stream)
        for index, frame in enumerate(_decoded(decoder, name)):
            time_s = float(frame.time) if frame.time is not None else 0.0
            if every_s is not None:
                if time_s < due * every_s - 1e-6:
                    continue
                due = math.floor(time_s / every_s + 1e-6) + 1
            check_pixels(f"{name}, frame {index}", frame.width, frame.height)
            with boundary(f"{name}: frame {index} cannot be converted to RGB", _REMEDY):
                pixels = Image.fromarray(frame.to_ndarray(format="rgb24"))
            pixels.filename = f"{name}, frame {index}"  # type: ignore[attr-defined]  # the name in messages
            panorama = load_equirectangular(pixels, **options)
            yield VideoFrame(index, time_s, torch.as_tensor(panorama))
            returned += 1
            if returned == max_frames:
                return
    if not returned:
        raise PanoramaError(f"{name}: no frame of the video can be decoded; {_REMEDY}")


def _with_metadata(options: dict[str, Any], spherical: SphericalVideo | None, name: str) -> dict[str, Any]:
    """The options of `load_equirectangular` with what the metadata says. Options that were given take precedence.

    Raises:
        PanoramaError: The frames are not equirectangular, or there are two eyes and none was chosen.
    """
    if spherical is None or options["whole_sphere"] or options["partial"] or options["hfov_deg"] is not None:
        return options
    if spherical.projection != "equirectangular":
        raise PanoramaError(
            f"{name}: its metadata says that the projection is {spherical.projection}, and equirectangular videos are "
            "read: convert it, or pass whole_sphere=True if it is equirectangular"
        )
    if options["eye"] is not None:
        return options
    if spherical.stereo in ("top-bottom", "left-right"):
        raise PanoramaError(f"{name}: it is a stereo video ({spherical.stereo}): pass eye='left' or eye='right'")
    top, bottom, left, right = spherical.bounds
    if (top, bottom, left, right) == (0.0, 0.0, 0.0, 0.0):
        return {**options, "whole_sphere": True}
    if abs(top - bottom) < 0.01 and abs(left - right) < 0.01:
        return {**options, "hfov_deg": 360 * (1 - left - right)}
    return options


def _decoded(decoder: Any, name: str) -> Iterator[Any]:
    """The frames of a decoder, with its errors as `PanoramaError`."""
    while True:
        with boundary(f"{name}: the video cannot be decoded", _REMEDY):
            try:
                frame = next(decoder)
            except StopIteration:
                return
        yield frame


def _open_container(file: Any, reader: str) -> Any:
    # titles and names are in any encoding, and are not used
    return import_module("av").open(file, format=reader, metadata_errors="replace")


@contextlib.contextmanager
def _open(source: FileSource, name: str) -> Iterator[tuple[Any, Any, SphericalVideo | None]]:
    """The container of a video, its first stream of images, and what its metadata says about the sphere."""
    with contextlib.ExitStack() as stack:
        file = open_file(source, name, stack)
        with boundary(f"{name}: the file cannot be read", "get the file again"):
            kind = file_kind(file.read(HEAD))
            spherical = read_spherical(file) if kind == "mp4" else None
            file.seek(0)
        if kind not in _READERS:
            raise PanoramaError(f"{name}: this is not a video; expected MP4, MOV, WebM, Matroska or AVI")
        if find_spec("av") is None:
            raise PanoramaError(f"{name}: videos need: pip install 'panollava-geometry[video]'")
        with boundary(f"{name}: the video cannot be opened", _REMEDY):
            container = stack.enter_context(_open_container(file, _READERS[kind]))
            streams = container.streams.video
        if not streams:
            raise PanoramaError(f"{name}: the file has no images, only sound or text")
        with boundary(f"{name}: the video cannot be opened", _REMEDY):
            context = streams[0].codec_context
            size = None if context is None else (context.width, context.height)
        if size is None:
            raise PanoramaError(f"{name}: the codec of the video is not known; {_REMEDY}")
        check_pixels(name, *size)
        yield container, streams[0], spherical
