"""From features of views to matching token sets, as the overlap losses compare them."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from panollava_losses._grouping import GroupedCorrespondences
from panollava_losses._sampling import sample_rows
from panollava_losses._statistics import statistics_dtype


class MatchedTokens(NamedTuple):
    """Matching tokens of `batch × pairs of views`; weight 0 marks padding, None means equal weights without padding."""

    source: Float[Tensor, "pairs tokens features"]
    target: Float[Tensor, "pairs tokens features"]
    weight: Float[Tensor, "pairs tokens"] | None


def match_tokens(
    features: Float[Tensor, "batch views height width features"], plan: GroupedCorrespondences
) -> MatchedTokens:
    """Source tokens, and bilinear samples of the target views at the places that see the same directions."""
    batch, width = features.shape[0], features.shape[-1]
    tokens = features.reshape(batch, -1, width).to(statistics_dtype(features.dtype))
    shape = (batch * len(plan.lengths), max(plan.lengths), width)
    source, target = (sample_rows(tokens, rows).view(shape) for rows in (plan.source_rows, plan.target_rows))
    weight = None if plan.row_weight is None else plan.row_weight.repeat(batch, 1).to(tokens.dtype)
    return MatchedTokens(source, target, weight)
