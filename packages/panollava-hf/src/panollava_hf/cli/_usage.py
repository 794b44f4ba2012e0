"""Turn the errors of a library call into one line that begins with what was being done."""

from collections.abc import Iterator
from contextlib import contextmanager

from panollava_hf._errors import UsageError


@contextmanager
def usage_errors(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Raise the named exceptions of a block again as a `UsageError` whose message begins with `what`."""
    try:
        yield
    except kinds as error:
        raise UsageError(f"{what}: {str(error).strip()}") from error
