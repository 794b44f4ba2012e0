"""The error and the warning of this package, and the boundary that turns other libraries' exceptions into it."""

import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Shortens values of any depth and size, and does not follow what they share.
_shortening = reprlib.Repr()
_shortening.maxlevel = 2
#: Longest text of another library's exception that becomes part of a message.
_MAX_CAUSE = 200


class PanoramaError(ValueError):
    """A panorama, plan or option that cannot be used.

    The message is one line: what is wrong, the value that was given, and what to do.
    """


class PanoramaWarning(UserWarning):
    """A panorama that can be used but is probably not what it seems, for example an unstitched dual fisheye image."""


@contextmanager
def boundary(problem: str, remedy: str, cause: Callable[[BaseException], str] | None = None) -> Iterator[None]:
    """Raise whatever another library raises in a block as a `PanoramaError`; a `PanoramaError` passes unchanged.

    Pillow's decoders, EXIF, http.client and zlib raise many kinds of exceptions on damaged input (`struct.error`,
    `AttributeError`, `SyntaxError`, …), so their kinds are not listed. Keep the block to the call of that library.

    Args:
        problem: What is wrong, beginning with the name of the file.
        remedy: What the user can do.
        cause: The text for an exception, where its own text may contain a secret. The exception is not chained then,
            so that tracebacks do not show it.

    Raises:
        PanoramaError: `problem (cause); remedy`.
    """
    try:
        yield
    except PanoramaError:
        raise
    except Exception as error:
        text = one_line(error) if cause is None else cause(error)
        raise PanoramaError(f"{problem} ({text}); {remedy}") from (error if cause is None else None)


def one_line(error: BaseException) -> str:
    """The text of an exception as one line of bounded length; its class where it has none."""
    text = " ".join(str(error)[: 4 * _MAX_CAUSE].split()) or type(error).__name__
    return text if len(text) <= _MAX_CAUSE else text[: _MAX_CAUSE - 1] + "…"


def short(value: object) -> str:
    """A value from outside as at most 80 characters for a message. Plain `repr` can take any time and memory."""
    try:
        text = _shortening.repr(value)
    except ValueError:  # an integer with more digits than Python converts
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= 80 else text[:79] + "…"
