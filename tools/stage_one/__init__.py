"""What stage 1 (VICReg on overlapping views) brings for finding a place again; see `__main__.py` and docs/log.md."""
