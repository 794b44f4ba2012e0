"""Paths of camera poses between key poses: spherical linear interpolation (slerp) of their rotations.

Source: Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985, https://doi.org/10.1145/325165.325242.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._planning._poses import CameraPoses, as_angles
from panollava_geometry._views._sphere_tensors import rotation_angle_tensors


def interpolate_poses(keys: CameraPoses, times: Any, at: Any) -> CameraPoses:
    """Interpolate between key poses, such as the poses of a camera path of a video.

    Between two keys the camera turns around one axis at constant speed, the shorter way. The fields of view change
    linearly. Before the first and after the last key, the pose is that of the key.

    Args:
        keys: Key poses `[K, V]`, or `[K]` for one view.
        times: Their times `[K]` in seconds (or another unit), increasing.
        at: The times of the result: `[T]`, or one number.

    Returns:
        Poses `[T, V]`, float64, or `[V]` for one number. Differentiable by the keys, except at a pitch of ±90°, where
        yaw and roll turn around the same axis.

    Raises:
        PanoramaError: The times are not increasing, not finite, or not one per key.

    Example:
        >>> import torch
        >>> from panollava_geometry import CameraPoses
        >>> from panollava_geometry.video import interpolate_poses
        >>> keys = CameraPoses(yaw_deg=torch.tensor([170.0, -170.0]), hfov_deg=torch.tensor([60.0, 100.0]))
        >>> poses = interpolate_poses(keys, times=[0.0, 2.0], at=[0.5, 1.5])
        >>> poses.yaw_deg.flatten().round().tolist(), poses.hfov_deg.flatten().tolist()
        ([175.0, -175.0], [70.0, 90.0])
    """
    values = keys.stacked(keys.yaw_deg.device)
    values = values[:, None] if values.ndim == 2 else values
    times, places = (as_angles(given, name).detach().to(values) for given, name in ((times, "times"), (at, "at")))
    if values.ndim != 3 or times.shape != values.shape[:1]:
        raise PanoramaError(
            f"interpolate_poses takes key poses [K, V] and K times, got poses {short(tuple(keys.shape))} and times "
            f"{short(tuple(times.shape))}"
        )
    if places.ndim > 1 or not bool(times.isfinite().all() & places.isfinite().all()):
        raise PanoramaError("times and at must be finite numbers, and at must be one number or [T]")
    if not bool((times[1:] > times[:-1]).all()):
        raise PanoramaError(f"times of key poses must increase, got {short(times.tolist())}")
    wanted = places.reshape(-1).clamp(float(times[0]), float(times[-1]))
    later = torch.searchsorted(times, wanted, right=True).clamp(1, max(len(times) - 1, 1)).clamp(max=len(times) - 1)
    earlier = (later - 1).clamp_min(0)
    length = (times[later] - times[earlier]).clamp_min(torch.finfo(times.dtype).tiny)
    part = ((wanted - times[earlier]) / length)[:, None]
    path = _slerp(_quaternion(values)[earlier], _quaternion(values)[later], part)
    yaw, pitch, roll = rotation_angle_tensors(_matrix(path))
    fields = values[earlier, :, 3:] * (1 - part[..., None]) + values[later, :, 3:] * part[..., None]
    result = (yaw, pitch, roll, fields[..., 0], fields[..., 1])
    return CameraPoses(*((each[0] for each in result) if places.ndim == 0 else result))


def _quaternion(values: Float[Tensor, "keys views _"]) -> Float[Tensor, "keys views 4"]:
    """Unit quaternions (w, x, y, z): rotations by yaw around y, by -pitch around x and by -roll around z."""
    yaw, pitch, roll = (torch.deg2rad(values[..., axis]) / 2 for axis in range(3))
    zero = torch.zeros_like(yaw)
    turn = torch.stack([yaw.cos(), zero, yaw.sin(), zero], dim=-1)
    lift = torch.stack([pitch.cos(), -pitch.sin(), zero, zero], dim=-1)
    lean = torch.stack([roll.cos(), zero, zero, -roll.sin()], dim=-1)
    return _product(_product(turn, lift), lean)


def _product(a: Float[Tensor, "*shape 4"], b: Float[Tensor, "*shape 4"]) -> Float[Tensor, "*shape 4"]:
    w, x, y, z = a.unbind(-1)
    s, i, j, k = b.unbind(-1)
    return torch.stack(
        [
            w * s - x * i - y * j - z * k,
            w * i + x * s + y * k - z * j,
            w * j - x * k + y * s + z * i,
            w * k + x * j - y * i + z * s,
        ],
        dim=-1,
    )


def _slerp(
    a: Float[Tensor, "times views 4"], b: Float[Tensor, "times views 4"], part: Float[Tensor, "times 1"]
) -> Float[Tensor, "times views 4"]:
    """The rotation that is `part` of the way from a to b. Quaternions of nearly equal rotations are mixed linearly."""
    cosine = (a * b).sum(dim=-1)
    b = torch.where(cosine[..., None] < 0, -b, b)  # q and -q are the same rotation; this one is nearer
    cosine = cosine.abs()
    close = cosine > 1 - 1e-9
    angle = torch.acos(torch.where(close, 0.5, cosine))
    first = torch.where(close, 1 - part, torch.sin((1 - part) * angle) / torch.sin(angle))
    second = torch.where(close, part.expand_as(angle), torch.sin(part * angle) / torch.sin(angle))
    mixed = first[..., None] * a + second[..., None] * b
    return mixed / (mixed * mixed).sum(dim=-1, keepdim=True).sqrt()


def _matrix(quaternion: Float[Tensor, "*shape 4"]) -> Float[Tensor, "*shape 3 3"]:
    w, x, y, z = quaternion.unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], dim=-1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], dim=-1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], dim=-1),
    ]
    return torch.stack(rows, dim=-2)
