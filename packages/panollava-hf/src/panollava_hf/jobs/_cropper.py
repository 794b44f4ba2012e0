"""`PanoramaCropper`."""
