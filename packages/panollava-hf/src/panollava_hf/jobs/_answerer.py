"""`PanoramaAnswerer`."""
