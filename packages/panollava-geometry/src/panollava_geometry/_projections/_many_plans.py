"""Views that differ between the panoramas of a batch: poses as tensors, and lists of plans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from panollava_geometry._arrays._sizes import check_result
from panollava_geometry._arrays._tensors import cast_like, check_panorama
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._planning._plan import ViewPlan, as_plan
from panollava_geometry._planning._poses import CameraPoses
from panollava_geometry._sampling._posed_reading import read_views

#: Reads the views of one plan from panoramas `[..., C, H, 2H]`.
Reader = Callable[[Tensor, ViewPlan], Tensor]


@dataclass(frozen=True)
class Reading:
    """How views are read: the options of `extract_views`."""

    size: tuple[int, int]
    antialias: bool
    align_corners: bool
    interpolation: str
    backend: str
    #: The panorama is an array or an image, which has no gradients.
    foreign: bool


def is_several(plan: object) -> bool:
    """Whether an argument is `CameraPoses`, or a list of plans instead of one plan."""
    if isinstance(plan, CameraPoses):
        return True
    if isinstance(plan, ViewPlan | str | bytes) or not isinstance(plan, Sequence):
        return False
    return any(isinstance(item, Sequence | CameraPoses) and not isinstance(item, str | bytes) for item in plan)


def read_several(erp: Any, plan: Any, reading: Reading, read: Reader) -> Shaped[Tensor, "..."]:
    """Read the views of poses or of a list of plans.

    Args:
        erp: Panoramas `[..., C, H, 2H]`.
        plan: The poses or plans.
        reading: The options.
        read: Reads the views of one plan, with the same options.

    Raises:
        PanoramaError: The poses or plans do not fit the panoramas, or have no gradient with these options.
    """
    check_panorama(erp)
    if isinstance(plan, CameraPoses):
        return _read_poses(erp, plan, reading, read)
    return _read_plans(erp, _plans_of_batch(plan, tuple(erp.shape[:-3])), read)


def _plans_of_batch(plans: Sequence[Any], batch: tuple[int, ...]) -> list[ViewPlan]:
    if len(batch) != 1 or len(plans) != batch[0]:
        raise PanoramaError(
            f"got a list of plans, {len(plans)} of them, for panoramas of batch shape {batch}: expected one plan per "
            "panorama of a batch [B, C, H, 2H]; pass one plan for all, or call the function once per panorama"
        )
    for index, item in enumerate(plans):
        if isinstance(item, str | bytes) or not isinstance(item, Sequence):
            raise PanoramaError(
                f"item {index} of a list of plans must be a ViewPlan or a list of views, got {type(item).__name__}"
            )
    members = [as_plan(item) for item in plans]
    for index, member in enumerate(members):
        if len(member) != len(members[0]):
            raise PanoramaError(
                f"plans of a batch must have the same number of views, got {len(members[0])} in plan 0 and "
                f"{len(member)} in plan {index}: call the function once per panorama"
            )
    return members


def _read_plans(
    erp: Shaped[Tensor, "batch channels erp_height erp_width"], plans: Sequence[ViewPlan], read: Reader
) -> Shaped[Tensor, "batch views channels height width"]:
    """Read the plan of every panorama. Panoramas with the same plan are read together."""
    members: dict[ViewPlan, list[int]] = {}
    for index, plan in enumerate(plans):
        members.setdefault(plan, []).append(index)
    if len(members) == 1:
        return read(erp, plans[0])
    views: dict[int, Tensor] = {}
    for plan, indices in members.items():
        first = indices[0]  # a slice is not a copy
        together = erp[first : first + 1] if len(indices) == 1 else torch.stack([erp[index] for index in indices])
        views.update(zip(indices, read(together, plan), strict=True))
    return torch.stack([views[index] for index in range(len(plans))])


def _read_poses(
    erp: Shaped[Tensor, "*batch channels erp_height erp_width"], poses: CameraPoses, reading: Reading, read: Reader
) -> Shaped[Tensor, "*batch views channels height width"]:
    *batch, channels, height, width = erp.shape
    *leading, count = poses.shape
    if leading and leading != batch:
        expected = f"[V] or {[*batch, 'V']}" if batch else "[V]"
        raise PanoramaError(
            f"poses of shape {tuple(poses.shape)} do not fit panoramas of batch shape {tuple(batch)}: expected "
            f"{expected}".replace("'", "")
        )
    poses.check()
    check_result(count, reading.size, channels, erp.element_size())
    flat = erp.reshape(-1, channels, height, width)
    if _differentiable(erp, poses, reading) and len(flat):
        angles = poses.stacked(erp.device).reshape(-1, count, 5)
        views = cast_like(_reader(reading)(flat, angles, reading.size, reading.antialias, reading.align_corners), erp)
    elif not leading:
        return read(erp, _plans(poses)[0])
    else:
        views = (
            _read_plans(flat, _plans(poses), read) if len(flat) else flat.new_empty(0, count, channels, *reading.size)
        )
    return views.reshape(*batch, count, channels, *reading.size)


def _reader(reading: Reading) -> Callable[..., Tensor]:
    """The function that reads differentiable views. Antialiased, it depends on values, so it is not traced."""
    if torch.compiler.is_compiling() and reading.antialias:
        from panollava_geometry._projections._untraced import read_posed

        return read_posed
    return read_views


def _plans(poses: CameraPoses) -> tuple[ViewPlan, ...]:
    if torch.compiler.is_compiling():
        from panollava_geometry._projections._untraced import plans_of_poses

        return plans_of_poses(poses)
    return poses.plans()


def _differentiable(erp: Tensor, poses: CameraPoses, reading: Reading) -> bool:
    """Whether the views are read by functions of tensors: for gradients, or because torch.compile traces them.

    Raises:
        PanoramaError: They need gradients, but the options or the panoramas have none.
    """
    if not poses.differentiable:
        traceable = (
            reading.interpolation == "bilinear" and not reading.antialias and reading.backend in ("auto", "torch")
        )
        return torch.compiler.is_compiling() and traceable and (erp.is_floating_point() or erp.dtype == torch.uint8)
    remedy = "pass poses.detach() for values without gradients"
    if reading.interpolation == "nearest":
        raise PanoramaError(f"interpolation='nearest' has no gradient with respect to poses: {remedy}")
    if reading.backend not in ("auto", "torch"):
        raise PanoramaError(
            f"backend={short(reading.backend)} has no gradient with respect to poses: use backend='torch', or {remedy}"
        )
    if reading.foreign:
        raise PanoramaError(
            f"poses that require gradients need panoramas as tensors, got arrays or images: convert them, or {remedy}"
        )
    if not erp.is_floating_point():
        raise PanoramaError(
            f"poses that require gradients need panoramas in floating point, got {erp.dtype}: convert them, or {remedy}"
        )
    return True
