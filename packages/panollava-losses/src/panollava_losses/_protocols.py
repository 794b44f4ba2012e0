"""What the overlap losses need from two views: which token sees the same direction as which place of another view."""

from typing import Protocol, runtime_checkable

from torch import Tensor

#: The fields of `Correspondences`.
FIELDS = ("source_view", "target_view", "source_index", "target_xy", "weight")


@runtime_checkable
class Correspondences(Protocol):
    """Pairs of tokens that see the same direction, flat over all pairs of views.

    Any object with these five tensors works (a dataclass, a NamedTuple, a SimpleNamespace); `n` is the number of
    token pairs. If the object also has `grid`, the rows and columns of a view's tokens, the losses refuse features of
    another grid or layout. Without it they check only that the tokens and places lie inside the features' grid.
    """

    @property
    def source_view(self) -> Tensor:
        """Integer `[n]`: view of the source token."""

    @property
    def target_view(self) -> Tensor:
        """Integer `[n]`: view that sees the same direction."""

    @property
    def source_index(self) -> Tensor:
        """Integer `[n]`: row-major index of the source token in its view's grid."""

    @property
    def target_xy(self) -> Tensor:
        """Floating `[n, 2]`: place in the target view in token units.

        The centre of token (row r, column c) is `(c + 0.5, r + 0.5)`.
        """

    @property
    def weight(self) -> Tensor:
        """Floating `[n]`: weight of the token pair, not negative; only ratios within a pair of views matter."""
