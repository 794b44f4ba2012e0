"""VICReg on what neighbouring views see twice."""

from jaxtyping import Float
from torch import Tensor

from panollava_losses._overlap import Grouper, match_tokens
from panollava_losses._protocols import Correspondences
from panollava_losses._vicreg import VICRegModule, VICRegTerms, vicreg_unchecked


class OverlapVICRegLoss(VICRegModule):
    """VICReg between each view's tokens and the places where other views see the same direction.

    Every pair of views of every item is one pair of token sets for `vicreg`: the source view's tokens as they are,
    and the target view sampled bilinearly at `target_xy` (a place in the half token along the grid's border takes the
    outermost tokens' values). Pairs may have different numbers of tokens; the weights of `correspondences` are the
    weights of `vicreg`, and pairs count alike.

    Args:
        similarity_weight: Weight of the invariance.
        variance_weight: Weight of the variance term.
        covariance_weight: Weight of the covariance term.
        gamma: Standard deviation below which a feature is pushed apart.
        eps: Added to the variance under the root.
        mode: `"pairwise"` or `"batchwise"` statistics.
        variance_correction: 0 for the biased variance in the variance term, 1 for the unbiased one.
        gather_distributed: Take means and batchwise statistics over all ranks.

    Example:
        >>> import torch
        >>> from panollava_losses import column_correspondences
        >>> features = torch.randn(2, 4, 8, 8, 16, requires_grad=True)
        >>> terms = OverlapVICRegLoss()(features, column_correspondences(4, (8, 8), 0.5))
        >>> terms.total.backward()
    """

    def _set_up(self) -> None:
        self._group = Grouper()

    def forward(
        self, features: Float[Tensor, "batch views height width features"], correspondences: Correspondences
    ) -> VICRegTerms:
        """The weighted sum and its three terms.

        Args:
            features: Token features of the views.
            correspondences: Any object with the fields of `Correspondences`, or a plan of `group_correspondences`.

        Raises:
            ValueError: If there is a single view, no overlap, a pair of views with fewer than two tokens, or
                correspondences of another grid.
        """
        source, target, weight = match_tokens(features, self._group(features, correspondences))
        return vicreg_unchecked(source, target, weight, self.options)
