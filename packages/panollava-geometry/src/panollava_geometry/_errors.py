"""The one error this package raises for a panorama, plan or option that cannot work."""


class PanoramaError(ValueError):
    """A panorama, plan or option that cannot work; one line names the thing, the problem and the remedy."""
