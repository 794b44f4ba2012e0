"""VICReg on the overlaps of neighbouring views."""

from jaxtyping import Float
from torch import Tensor, nn

from panollava_losses._grouping import Grouper
from panollava_losses._overlap import match_tokens
from panollava_losses._protocols import Correspondences
from panollava_losses._vicreg import VICRegLoss, VICRegOptions, VICRegTerms, vicreg_unchecked


class OverlapVICRegLoss(nn.Module):
    """VICReg between each view's tokens and the places where other views see the same direction.

    Each pair of views of each item is one pair of token sets for `vicreg`: the source view's tokens as they are, and
    the target view sampled bilinearly at `target_xy` (a place in the half token along the grid's border gets the
    outermost tokens' values). Pairs may have different numbers of tokens; the weights of `correspondences` are the
    weights of `vicreg`, and all pairs count the same.

    Args:
        similarity_weight: Weight of the invariance.
        variance_weight: Weight of the variance term.
        covariance_weight: Weight of the covariance term.
        gamma: Target standard deviation; smaller ones are penalised.
        eps: Added to the variance under the root.
        mode: `"pairwise"` or `"batchwise"` statistics.
        variance_correction: 0 for the biased variance in the variance term, 1 for the unbiased one.
        gather_distributed: Take means and batchwise statistics over all ranks.

    Raises:
        ValueError: If `mode` or `variance_correction` is invalid.

    Example:
        >>> import torch
        >>> from panollava_losses import OverlapVICRegLoss, column_correspondences
        >>> features = torch.randn(2, 4, 8, 8, 16, requires_grad=True)
        >>> terms = OverlapVICRegLoss()(features, column_correspondences(4, (8, 8), 0.5))
        >>> terms.total.backward()
    """

    def __init__(
        self,
        similarity_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        *,
        gamma: float = 1.0,
        eps: float = 1e-4,
        mode: str = "pairwise",
        variance_correction: int = 0,
        gather_distributed: bool = False,
    ) -> None:
        super().__init__()
        self.vicreg = VICRegLoss(
            similarity_weight,
            variance_weight,
            covariance_weight,
            gamma=gamma,
            eps=eps,
            mode=mode,
            variance_correction=variance_correction,
            gather_distributed=gather_distributed,
        )
        self._group = Grouper()

    @property
    def options(self) -> VICRegOptions:
        """The options of its `VICRegLoss`."""
        return self.vicreg.options

    @options.setter
    def options(self, options: VICRegOptions) -> None:
        self.vicreg.options = options

    def forward(
        self, features: Float[Tensor, "batch views height width features"], correspondences: Correspondences
    ) -> VICRegTerms:
        """The weighted sum and its three terms.

        Args:
            features: Token features of the views.
            correspondences: Any object with the fields of `Correspondences`, or a plan of `group_correspondences`.

        Raises:
            ValueError: If there is only one view, no overlap, a pair of views with fewer than two tokens, or the
                correspondences are for another grid, as with features `[batch, views, features, height, width]`.
        """
        source, target, weight = match_tokens(features, self._group(features, correspondences))
        return vicreg_unchecked(source, target, weight, self.options)
