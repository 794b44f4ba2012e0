"""Load the checkpoint of `--model` onto the device of `--device`."""

from typing import TYPE_CHECKING

from panollava_hf._errors import UsageError
from panollava_hf.cli._usage import usage_errors

if TYPE_CHECKING:
    from panollava_hf.asking import Answerer


def load(model: str | None, device: str) -> "Answerer":
    """Load a checkpoint; None is the embedded one.

    Raises:
        UsageError: The checkpoint cannot be read, or torch refuses the device.
    """
    from panollava_geometry import PanoramaError
    from transformers.utils import logging

    from panollava_hf.asking import Answerer

    logging.disable_progress_bar()  # our own status line is enough
    with usage_errors(f"--model {model or 'default'}", OSError, ValueError, KeyError):
        try:
            return Answerer.load(model, device=device)
        except PanoramaError:
            raise
        except (RuntimeError, AssertionError) as error:  # what torch raises for a device it cannot use
            raise UsageError(f"--device {device}: {str(error).splitlines()[0]}") from error
