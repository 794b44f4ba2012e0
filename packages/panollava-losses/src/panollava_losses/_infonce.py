"""Dense InfoNCE over matching tokens.

Wang, Zhang, Shen, Kong and Li, "Dense Contrastive Learning for Self-Supervised Visual Pre-Training", CVPR 2021,
https://arxiv.org/abs/2011.09157 (with known correspondences instead of its matching by feature similarity, and the
tokens of the batch instead of its queue), with the loss of van den Oord, Li and Vinyals,
https://arxiv.org/abs/1807.03748.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from panollava_losses._checks import check_choice, check_features, check_temperature, check_weight
from panollava_losses._distributed import mean_over_pairs, pairs_of_all_ranks, world_size
from panollava_losses._formula import masked
from panollava_losses._grouping import Grouper
from panollava_losses._overlap import match_tokens
from panollava_losses._protocols import Correspondences
from panollava_losses._similarity import symmetric_cross_entropy
from panollava_losses._statistics import no_autocast, statistics_dtype


class InfoNCEOptions(NamedTuple):
    """The options of `info_nce`."""

    temperature: float = 0.2
    negatives: str = "pair"
    gather_distributed: bool = False


def info_nce(
    x: Float[Tensor, "*pairs tokens features"],
    y: Float[Tensor, "*pairs tokens features"],
    *,
    temperature: float = 0.2,
    negatives: str = "pair",
    weight: Float[Tensor, "*pairs tokens"] | Bool[Tensor, "*pairs tokens"] | None = None,
    gather_distributed: bool = False,
) -> Float[Tensor, ""]:
    r"""Symmetric InfoNCE of pairs of token sets, where token `l` of `x[p]` matches token `l` of `y[p]`.

    With `s_ij = cos(x_i, y_j) / temperature`, the loss of an anchor `x_i` is the cross-entropy of choosing `y_i` among
    all candidates `y_j`, and the same with `x` and `y` exchanged; the result is the mean of both. The candidates are
    the tokens of the same pair (`negatives="pair"`) or of all pairs (`"batch"`). Every candidate except the match is
    a negative, even if it sees nearly the same place; with `"batch"` such candidates are a smaller share.

    A weight of 0 removes a token as anchor and as candidate. Other weights are the weights of the mean over a pair's
    anchors, and all pairs count the same. Similarities are float32 under autocast and for half precision.

    Args:
        x: Features of one side; their norm does not matter.
        y: Features of the other side.
        temperature: Divides the cosine; DenseCL uses 0.2.
        negatives: `"pair"` or `"batch"`.
        weight: Weight of each token pair, not negative; False or 0 masks it.
        gather_distributed: Take the mean, and with `"batch"` the candidates, over all ranks; gradients follow `vicreg`.

    Returns:
        The loss, a scalar; `log(candidates)` when all similarities are equal.

    Raises:
        ValueError: If shapes, dtypes or options are invalid, a pair has fewer than two tokens of positive weight, or
            a weight is negative or not finite (weights are not checked under `torch.compile`).

    Example:
        >>> from panollava_losses import info_nce
        >>> import torch
        >>> round(info_nce(torch.eye(4), torch.eye(4), temperature=0.1).item(), 4)
        0.0001
        >>> round(info_nce(torch.ones(4, 8), torch.ones(4, 8)).exp().item(), 4)
        4.0
    """
    check_features(x, y)
    check_choice("negatives", negatives, ("pair", "batch"))
    check_temperature(temperature)
    if weight is not None:
        check_weight(weight, x)
    return info_nce_unchecked(x, y, weight, InfoNCEOptions(temperature, negatives, gather_distributed))


def info_nce_unchecked(x: Tensor, y: Tensor, weight: Tensor | None, o: InfoNCEOptions) -> Tensor:
    """`info_nce` on checked arguments; nothing here depends on the values of a tensor."""
    ranks = world_size(o.gather_distributed)
    dtype = statistics_dtype(x.dtype)
    x, y = (z.reshape(-1, *z.shape[-2:]).to(dtype) for z in (x, y))
    if weight is None:
        p = torch.full(x.shape[:2], 1 / x.shape[1], dtype=dtype, device=x.device)
    else:
        weight = weight.reshape(x.shape[:2]).to(dtype)
        p = weight / weight.sum(dim=-1, keepdim=True)
        x, y = masked(x, p), masked(y, p)
    with no_autocast(x.device):
        if o.negatives == "pair":
            each = symmetric_cross_entropy(x, y, p, o.temperature, 1, weight is not None)
            return mean_over_pairs(each, ranks)
        p = p / pairs_of_all_ranks(p, ranks)
        x, y, p = (z.flatten(0, 1).unsqueeze(0) for z in (x, y, p))
        return symmetric_cross_entropy(x, y, p, o.temperature, ranks, weight is not None)[0]


class OverlapInfoNCELoss(nn.Module):
    """Symmetric dense InfoNCE between each view's tokens and the places where other views see the same direction.

    Args:
        temperature: Divides the cosine.
        negatives: `"pair"`: a token's candidates are those of its pair of views; `"batch"`: of all pairs and items.
        gather_distributed: Take the mean, and with `"batch"` the candidates, over all ranks.

    Raises:
        ValueError: If `temperature` or `negatives` is invalid.

    Example:
        >>> import torch
        >>> from panollava_losses import OverlapInfoNCELoss, column_correspondences
        >>> features = torch.randn(2, 4, 8, 8, 16, requires_grad=True)
        >>> OverlapInfoNCELoss(temperature=0.1)(features, column_correspondences(4, (8, 8), 0.5)).backward()
    """

    def __init__(self, temperature: float = 0.2, *, negatives: str = "pair", gather_distributed: bool = False) -> None:
        super().__init__()
        check_choice("negatives", negatives, ("pair", "batch"))
        check_temperature(temperature)
        self.options = InfoNCEOptions(temperature, negatives, gather_distributed)
        self._group = Grouper()

    def forward(
        self, features: Float[Tensor, "batch views height width features"], correspondences: Correspondences
    ) -> Float[Tensor, ""]:
        """The loss; see `info_nce` and, for the arguments and errors, `OverlapVICRegLoss.forward`."""
        source, target, weight = match_tokens(features, self._group(features, correspondences))
        return info_nce_unchecked(source, target, weight, self.options)

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options._asdict().items())
