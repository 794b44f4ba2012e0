"""Self-supervised losses on overlapping views: VICReg and dense InfoNCE over exact correspondences."""

from panollava_losses._columns import column_correspondences
from panollava_losses._grouping import GroupedCorrespondences, group_correspondences
from panollava_losses._infonce import OverlapInfoNCELoss, info_nce
from panollava_losses._overlap_vicreg import OverlapVICRegLoss
from panollava_losses._projector import VICRegProjector
from panollava_losses._protocols import Correspondences
from panollava_losses._terms import vicreg_covariance, vicreg_invariance, vicreg_variance
from panollava_losses._vicreg import VICRegLoss, VICRegTerms, vicreg

__all__ = [
    "Correspondences",
    "GroupedCorrespondences",
    "OverlapInfoNCELoss",
    "OverlapVICRegLoss",
    "VICRegLoss",
    "VICRegProjector",
    "VICRegTerms",
    "column_correspondences",
    "group_correspondences",
    "info_nce",
    "vicreg",
    "vicreg_covariance",
    "vicreg_invariance",
    "vicreg_variance",
]
