"""Panoramic videos: their frames, views with a moving camera, rotations, and paths of cameras.

Example:
    >>> from panollava_geometry import PerspectiveView
    >>> from panollava_geometry.video import extract_video, video_frames
    >>> for views in extract_video(video_frames("tour.mp4"), PerspectiveView(30.0), 512):  # doctest: +SKIP
    ...     print(views.shape)
"""

from panollava_geometry._files._video import VideoFrame, VideoInfo, video_frames, video_info
from panollava_geometry._files._video_views import extract_video, rotate_video
from panollava_geometry._planning._pose_paths import interpolate_poses

__all__ = [
    "VideoFrame",
    "VideoInfo",
    "extract_video",
    "interpolate_poses",
    "rotate_video",
    "video_frames",
    "video_info",
]
