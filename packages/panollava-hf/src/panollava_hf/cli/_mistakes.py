"""The user's mistakes, and the one place where library errors become such."""

from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """Something the person at the command line can put right; its message is one line that says how."""


@contextmanager
def mistakes(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn the named exceptions of a block into a `UsageError` that begins with `what`."""
    try:
        yield
    except kinds as error:
        raise UsageError(f"{what}: {str(error).strip()}") from error
