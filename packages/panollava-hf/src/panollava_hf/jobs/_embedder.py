"""`PanoramaEmbedder`."""
