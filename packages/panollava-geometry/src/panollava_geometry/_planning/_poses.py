"""`CameraPoses`: the poses and fields of view of many pinhole cameras, as tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from panollava_geometry._arrays._sizes import MAX_VIEWS
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._views._camera_view import MIN_FOV_DEG
from panollava_geometry._views._perspective_view import PerspectiveView
from panollava_geometry._views._sphere_tensors import has_gradient, precise_dtype, rotation_tensor
from panollava_geometry._views._view_base import numbers

#: A value of `CameraPoses` as it is given.
Angles = Any
_NAMES = ("yaw_deg", "pitch_deg", "roll_deg", "hfov_deg", "vfov_deg")


@dataclass(frozen=True, eq=False)
class CameraPoses:
    """The poses and fields of view of pinhole cameras, as tensors: a `PerspectiveView` for every element.

    All values are numbers, or tensors `[..., V]` that are broadcast together. float32 and float64 tensors on any device
    keep their gradients: `extract_views` is differentiable with respect to them. Integers, arrays and lists are
    converted to float64.

    Args:
        yaw_deg: Rotation to the right in degrees. 0 is the centre column of the panorama.
        pitch_deg: Rotation upwards in degrees, in [-90, 90].
        roll_deg: Clockwise rotation in degrees, as seen by the camera.
        hfov_deg: Horizontal field of view between the outer pixel edges, in degrees, in [1e-6, 180).
        vfov_deg: Vertical field of view in degrees. None means the same as `hfov_deg`.

    Raises:
        PanoramaError: A value is not a number, not finite or out of its range (the message names its index), the
            shapes cannot be broadcast, there are no views, or more than 10000.

    Example:
        >>> import torch
        >>> from panollava_geometry import CameraPoses
        >>> poses = CameraPoses(yaw_deg=torch.tensor([0.0, 90.0]), pitch_deg=torch.tensor([[10.0], [20.0], [30.0]]))
        >>> poses.shape, poses[1].plan()[1].pitch_deg
        (torch.Size([3, 2]), 20.0)
    """

    yaw_deg: Angles
    pitch_deg: Angles = 0.0
    roll_deg: Angles = 0.0
    hfov_deg: Angles = 90.0
    vfov_deg: Angles | None = None

    def __post_init__(self) -> None:
        for name in _NAMES:
            if name != "vfov_deg" or self.vfov_deg is not None:
                object.__setattr__(self, name, as_angles(getattr(self, name), name))
        count = self.shape[-1]
        if not 1 <= count <= MAX_VIEWS:
            raise PanoramaError(
                f"poses [..., V] need 1 to {MAX_VIEWS} views, got shape {tuple(self.shape)}: the last axis is the views"
            )
        self.check()

    @property
    def shape(self) -> torch.Size:
        """The shape `[..., V]` of all values together. Of numbers alone it is `[1]`."""
        try:
            shape: torch.Size = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
                *(values.shape for values in self._tensors().values())
            )
        except RuntimeError:
            shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in self._tensors().items())
            raise PanoramaError(f"values of poses must have shapes that broadcast, got {shapes[:200]}") from None
        return shape or torch.Size([1])

    @property
    def differentiable(self) -> bool:
        """Whether derivatives with respect to a value are wanted."""
        return any(has_gradient(values) for values in self._tensors().values())

    @property
    def rotation(self) -> Float[Tensor, "*shape 3 3"]:
        """The camera-to-world rotation matrices, float64."""
        yaw, pitch, roll, _, _ = self.stacked(self.yaw_deg.device).unbind(-1)
        return rotation_tensor(yaw, pitch, roll)

    def check(self) -> None:
        """Check the values, which an optimiser may have changed. `extract_views` calls it.

        While torch compiles, the check is part of the compiled program, and its error is a RuntimeError.

        Raises:
            PanoramaError: A value is not finite or out of its range.
        """
        for name, values in self._tensors().items():
            check_values(values, name, _in_range(values.detach(), name))

    def stacked(self, device: torch.device) -> Float[Tensor, "*shape 5"]:
        """Yaw, pitch, roll and both fields of view, in degrees, float64 where the device has it."""
        shape, tensors = self.shape, self._tensors()
        tensors.setdefault("vfov_deg", tensors["hfov_deg"])
        return torch.stack([tensors[name].to(device, precise_dtype(device)).expand(shape) for name in _NAMES], dim=-1)

    def plans(self) -> tuple[ViewPlan, ...]:
        """The plans of all leading positions `[...]`, in row-major order, without gradients."""
        values = self.stacked(torch.device("cpu")).detach()
        plans = []
        for members in values.reshape(-1, values.shape[-2], 5).tolist():
            views = [v if self.vfov_deg is not None else v[:4] for v in members]
            plans.append(ViewPlan(PerspectiveView(*view) for view in views))
        return tuple(plans)

    def plan(self) -> ViewPlan:
        """The plan of poses `[V]`.

        Raises:
            PanoramaError: There are leading axes.
        """
        if len(self.shape) > 1:
            raise PanoramaError(f"poses of shape {tuple(self.shape)} are several plans: call plans(), or index them")
        return self.plans()[0]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> "CameraPoses":
        """The poses of an index into the leading axes `[...]`, or, if there are none, into the views."""
        chosen = {name: values.expand(self.shape)[index] for name, values in self._tensors().items()}
        return CameraPoses(**chosen)

    def detach(self) -> "CameraPoses":
        """The same poses without gradients."""
        return self._changed(torch.Tensor.detach)

    def to(self, *args: Any, **kwargs: Any) -> "CameraPoses":
        """The same poses on another device or in another dtype, as `torch.Tensor.to`."""
        return self._changed(lambda values: values.to(*args, **kwargs))

    def _changed(self, change: Callable[[Tensor], Tensor]) -> "CameraPoses":
        return CameraPoses(**{name: change(values) for name, values in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in _NAMES if getattr(self, name) is not None}


def as_angles(values: object, name: str) -> Shaped[Tensor, "*shape"]:
    """Angles as a tensor. float32 and float64 tensors are not changed, other numbers become float64.

    Raises:
        PanoramaError: They are not numbers, or of another floating-point dtype.
    """
    if not isinstance(values, Tensor):
        if isinstance(values, str | bytes | bool | None):
            raise PanoramaError(f"{name} must be a number or a tensor of numbers, got {short(values)}")
        return torch.from_numpy(numbers(values, name).copy())
    if values.dtype in (torch.float32, torch.float64):
        return values
    if values.dtype == torch.bool or values.is_floating_point() or values.is_complex():
        raise PanoramaError(f"{name} must be float32 or float64, got {values.dtype}: convert it first")
    return values.to(precise_dtype(values.device))


def check_values(values: Shaped[Tensor, "*shape"], name: str, valid: Bool[Tensor, "*shape"]) -> None:
    """Raise the error of `PerspectiveView` for the first value that is not valid, with its index.

    While torch compiles, the check is part of the compiled program, and its error is a RuntimeError.

    Args:
        values: The values.
        name: Their name.
        valid: Which of them are valid.

    Raises:
        PanoramaError: One of them is not.
    """
    if torch.compiler.is_compiling():
        torch._assert_async(valid.all(), f"{name} is not finite or out of its range")
        return
    if bool(valid.all()):
        return
    index = tuple((~valid).nonzero()[0].tolist())
    place = f"{name}[{', '.join(map(str, index))}]" if index else name
    try:
        given: dict[str, Any] = {"yaw_deg": 0.0, name: float(values.detach()[index])}
        PerspectiveView(**given)
    except PanoramaError as error:
        raise PanoramaError(str(error).removeprefix("PerspectiveView.").replace(name, place, 1)) from None
    raise PanoramaError(f"{place} is not finite or out of its range, got {float(values.detach()[index])}")


def _in_range(values: Shaped[Tensor, "*shape"], name: str) -> Bool[Tensor, "*shape"]:
    if name == "pitch_deg":
        return values.abs() <= 90
    if name in ("hfov_deg", "vfov_deg"):
        return (values >= MIN_FOV_DEG) & (values < 180)
    return values.isfinite()
