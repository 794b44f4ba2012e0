"""What the overlap losses share: features and correspondences in, matching token sets out."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from panollava_losses._grouping import GroupedCorrespondences, group_correspondences
from panollava_losses._protocols import Correspondences
from panollava_losses._sampling import sample_rows
from panollava_losses._statistics import statistics_dtype


class MatchedTokens(NamedTuple):
    """Matching tokens of `batch × pairs of views`; a weight of 0 marks padding, None means that all weigh the same."""

    source: Float[Tensor, "pairs tokens features"]
    target: Float[Tensor, "pairs tokens features"]
    weight: Float[Tensor, "pairs tokens"] | None


class Grouper:
    """Groups correspondences, and keeps the last result while the same tensors come with features of the same kind."""

    def __init__(self) -> None:
        self.fields: tuple[Tensor, ...] = ()
        self.key: tuple[object, ...] = ()
        self.plan: GroupedCorrespondences | None = None

    def __call__(
        self, features: Float[Tensor, "batch views height width features"], correspondences: Correspondences
    ) -> GroupedCorrespondences:
        """The plan for these features, on their device."""
        check_view_features(features)
        views, grid = features.shape[1], (features.shape[2], features.shape[3])
        if isinstance(correspondences, GroupedCorrespondences) and correspondences.weight.device == features.device:
            return group_correspondences(correspondences, views, grid)
        plan: GroupedCorrespondences = _kept_or_grouped(self, correspondences, views, grid, features.device)
        return plan


def _kept_or_grouped(
    keeper: Grouper, correspondences: Correspondences, views: int, grid: tuple[int, int], device: torch.device
) -> GroupedCorrespondences:
    # Holding the tensors keeps their ids from being reused; the versions show those that were changed in place.
    names = ("source_view", "target_view", "source_index", "target_xy", "weight")
    fields = tuple(getattr(correspondences, name) for name in names)
    key = (views, grid, device, *((id(t), t._version) for t in fields))
    if keeper.plan is None or keeper.key != key:
        keeper.plan = group_correspondences(correspondences, views, grid).to(device)
        keeper.fields, keeper.key = fields, key
    return keeper.plan


# What `torch.compiler.disable(_kept_or_grouped, reason=…)` sets; calling it would load the compiler with this package.
for _name, _value in (
    ("_torchdynamo_disable", True),
    ("_torchdynamo_disable_msg", "pass a plan made once by group_correspondences(…).to(device) instead"),
):
    setattr(_kept_or_grouped, _name, _value)


def check_view_features(features: Tensor) -> None:
    """Features are floating `[batch, views, height, width, features]` with two views or more."""
    if features.ndim != 5 or features.numel() == 0:
        raise ValueError(
            f"features have shape {tuple(features.shape)}, expected [batch, views, height, width, features] and no 0"
        )
    if not features.is_floating_point():
        raise ValueError(f"features have dtype {features.dtype}, expected a floating dtype")
    if features.shape[1] < 2:
        raise ValueError(
            f"features hold {features.shape[1]} view (shape {tuple(features.shape)}) and an overlap needs at least 2: "
            "raise num_views"
        )


def match_tokens(
    features: Float[Tensor, "batch views height width features"], plan: GroupedCorrespondences
) -> MatchedTokens:
    """Source tokens and, at the places where they are seen again, bilinear samples of the target views."""
    batch, width = features.shape[0], features.shape[-1]
    tokens = features.reshape(batch, -1, width).to(statistics_dtype(features.dtype))
    shape = (batch * len(plan.lengths), max(plan.lengths), width)
    source, target = (sample_rows(tokens, rows).view(shape) for rows in (plan.source_rows, plan.target_rows))
    weight = None if plan.row_weight is None else plan.row_weight.repeat(batch, 1).to(tokens.dtype)
    return MatchedTokens(source, target, weight)
