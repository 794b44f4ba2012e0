"""Outputs of per-image models on views, merged to a panorama by what they are: depth, labels and normals."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from panollava_geometry._arrays._options import Interpolation
from panollava_geometry._errors import PanoramaError, short
from panollava_geometry._merging._depth import radial_to_z_depth, z_to_radial_depth
from panollava_geometry._merging._depth_alignment import align_views
from panollava_geometry._merging._label_votes import paste_votes
from panollava_geometry._merging._normals import normals_to_world
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._projections._pasting import filled, paste_views

Kind = Literal["values", "logits", "labels", "votes", "depth", "z_depth", "inverse_depth", "inverse_z_depth", "normals"]
Align = Literal["scale", "scale_shift"]
DEPTHS = ("depth", "z_depth", "inverse_depth", "inverse_z_depth")

Views = Shaped[Tensor, "batch views channels height width"]
Panoramas = Shaped[Tensor, "batch merged_channels erp_height erp_width"]


class Merge(NamedTuple):
    """How outputs become a panorama: the plan, the height of the panorama, `align`, and the value of unseen pixels."""

    plan: ViewPlan
    height: int
    align: Align | None
    fill: float | int | bool | None

    def check(self, kind: Kind, values: Views, name: str) -> None:
        """Check the outputs of a function.

        Raises:
            PanoramaError: Their dtype or number of channels does not fit their kind.
        """
        channels = values.shape[2]
        if kind in DEPTHS and channels != 1:
            raise PanoramaError(f"{name} has {channels} channels, and kind={kind!r} takes [n, h, w] or [n, 1, h, w]")
        if kind == "normals" and channels != 3:
            raise PanoramaError(f"{name} has {channels} channels, and kind='normals' takes [n, 3, h, w]: x, y, z")
        if kind in ("labels", "votes") or values.is_floating_point():
            return
        if kind != "values" or values.dtype != torch.uint8:
            types = "uint8 or floating point" if kind == "values" else "floating point"
            raise PanoramaError(
                f"{name} must be {types} for kind={kind!r}, got {values.dtype}: pass kind='labels' for classes and "
                "masks, or convert it"
            )

    def __call__(self, kind: Kind, values: Views, name: str) -> Panoramas:
        """Merge outputs `[B, V, C, h, w]` to panoramas `[B, C, H, 2H]`.

        Raises:
            PanoramaError: The outputs do not fit their kind, or a pixel is not seen and has no value.
        """
        self.check(kind, values, name)
        if kind in DEPTHS:
            values = _along_rays(kind, values, self.plan, self.align)
        elif kind == "normals":
            values = normals_to_world(values, self.plan)
        if kind == "votes":
            pasted, counts = paste_votes(values, self.plan, self.height)
        else:
            interpolation: Interpolation = "nearest" if kind == "labels" else "bilinear"
            pasted, counts = paste_views(values, self.plan, self.height, interpolation=interpolation)
        if kind == "normals":
            pasted = torch.nn.functional.normalize(pasted, dim=1, eps=torch.finfo(pasted.dtype).tiny)
        elif kind == "logits":
            pasted = pasted.argmax(dim=1, keepdim=True)
        if self.fill is not None:
            return filled(pasted, counts, self.fill)
        check_seen((counts > 0).cpu().numpy())
        return pasted


def check_kind(kind: object) -> Kind:
    """Check the name of a kind of output.

    Raises:
        PanoramaError: It is unknown.
    """
    for name in get_args(Kind):
        if kind == name:
            found: Kind = name
            return found
    raise PanoramaError(f"unknown kind {short(kind)} of output: choose from {', '.join(get_args(Kind))}")


def check_seen(seen: "np.ndarray[tuple[int, int], np.dtype[np.bool]]") -> None:
    """Check that every pixel of a panorama is seen.

    Raises:
        PanoramaError: One is not.
    """
    if seen.all():
        return
    area = np.sin((np.arange(len(seen)) + 0.5) * np.pi / len(seen))
    share = 100 * float((~seen).mean(axis=1) @ area / area.sum())
    raise PanoramaError(
        f"the views of the plan do not see {share:.2g} % of the panorama: pass fill=… for the value there, or a plan "
        "of the whole sphere, such as plan_views('cubemap', fov_deg=110)"
    )


def _along_rays(kind: Kind, values: Views, plan: ViewPlan, align: Align | None) -> Views:
    """Depth, or inverse depth, along the rays instead of along the optical axes, and aligned."""
    convert: dict[str, Callable[..., Tensor]] = {"z_depth": z_to_radial_depth, "inverse_z_depth": radial_to_z_depth}
    # 1 / radial = cos / z: inverse depth is converted by the factor that converts radial depth to z
    ones: Float[Tensor, "views 1 height width"] = values.new_ones(values.shape[1:])
    if kind in convert:
        values, ones = convert[kind](values, plan), convert[kind](ones, plan)
    return values if align is None else align_views(values, ones, plan, shift=align == "scale_shift")
