"""How the jobs that cut panoramas themselves read them."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any


def reading_options(
    hfov_deg: float | None, partial: bool, eye: str | None, whole_sphere: bool, pose: str | None = None
) -> dict[str, float | bool | str]:
    """The arguments of `load_equirectangular` that were given.

    Raises:
        PanoramaError: A value is impossible, or two of them exclude each other.

    Example:
        >>> reading_options(200.0, False, None, False)
        {'hfov_deg': 200.0}
    """
    options: dict[str, Any] = {
        "hfov_deg": hfov_deg,
        "partial": partial,
        "eye": eye,
        "whole_sphere": whole_sphere,
        "pose": pose,
    }
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    if given:  # geometry is imported only for them
        from panollava_geometry.files import check_options

        check_options(**given)
    return given


def redirects(private: bool) -> AbstractContextManager[Any]:
    """A block in which images are read. Most URLs come from tables, and nobody has typed them.

    Args:
        private: Whether they may redirect from a public to a private address.
    """
    from panollava_geometry.addresses import untrusted_addresses

    return nullcontext() if private else untrusted_addresses("private_redirects=True (--private-redirects)")
