"""For programs that work through many panoramas: what a file is, load one with its size, cut one into views.

Example:
    >>> from pathlib import Path
    >>> from panollava_geometry import plan_views
    >>> from panollava_geometry.files import crop_file
    >>> crop_file("pano.jpg", Path("views"), plan_views("cubemap"), 512)  # doctest: +SKIP
"""

from panollava_geometry._commands._crop_sources import read_plan_file
from panollava_geometry._commands._cropping import crop_file
from panollava_geometry._files._hdr import hdr_to_srgb, load_hdr
from panollava_geometry._files._header import panorama_size
from panollava_geometry._files._information import PanoramaInfo, panorama_info
from panollava_geometry._files._loading import check_options, load_with_size
from panollava_geometry._files._video import VideoFrame, VideoInfo, video_frames, video_info
from panollava_geometry._metadata._panorama_metadata import GPano
from panollava_geometry._metadata._spherical_video import SphericalVideo
from panollava_geometry._planning._view_sizes import check_size

__all__ = [
    "GPano",
    "PanoramaInfo",
    "SphericalVideo",
    "VideoFrame",
    "VideoInfo",
    "check_options",
    "check_size",
    "crop_file",
    "hdr_to_srgb",
    "load_hdr",
    "load_with_size",
    "panorama_info",
    "panorama_size",
    "read_plan_file",
    "video_frames",
    "video_info",
]
