"""What several commands share: errors of a library call as one line, and the model of `--model`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from panollava_hf._errors import UsageError

if TYPE_CHECKING:
    from panollava_hf.asking import Answerer


@contextmanager
def usage_errors(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Raise the named exceptions of a block again as a `UsageError` whose message begins with `what`."""
    try:
        yield
    except kinds as error:
        raise UsageError(f"{what}: {str(error).strip()}") from error


def load(model: str | None, device: str, dtype: str | None = None) -> "Answerer":
    """Load a checkpoint; None is the embedded one.

    Args:
        model: Checkpoint folder or Hub id.
        device: Device of the model.
        dtype: Floating-point type of the model; None keeps the stored one.

    Raises:
        UsageError: The checkpoint cannot be read, or torch refuses the device.
    """
    from panollava_geometry import PanoramaError
    from transformers.utils import logging

    from panollava_hf.asking import Answerer

    logging.disable_progress_bar()  # our own status line is enough
    with usage_errors(f"--model {model or 'default'}", OSError, ValueError, KeyError):
        try:
            return Answerer.load(model, device=device, dtype=dtype)
        except PanoramaError:
            raise
        except (RuntimeError, AssertionError) as error:  # what torch raises for a device it cannot use
            raise UsageError(f"--device {device}: {str(error).splitlines()[0]}") from error
