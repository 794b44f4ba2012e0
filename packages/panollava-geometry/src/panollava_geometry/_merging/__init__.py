"""What models of ordinary images return for views (depth, normals, labels, values), merged to a panorama."""

__all__: list[str] = []
