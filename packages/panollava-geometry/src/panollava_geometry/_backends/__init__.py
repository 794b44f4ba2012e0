"""The backends. Each module reads one view from a panorama with a resampling map (or from the view itself)."""
