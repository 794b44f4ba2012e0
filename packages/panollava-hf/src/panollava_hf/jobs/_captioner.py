"""`PanoramaCaptioner`."""
