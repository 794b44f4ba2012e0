"""The one error that this package raises."""


class PanoramaError(ValueError):
    """A panorama, plan or option that cannot be used.

    The message is one line: what is wrong, the value that was given, and what to do.
    """
