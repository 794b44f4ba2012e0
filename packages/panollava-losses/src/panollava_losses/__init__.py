"""Self-supervised losses on overlapping views: VICReg and dense InfoNCE over exact correspondences."""

__all__: list[str] = []
