"""A checkpoint from the command line, with its mistakes told in one line."""

from typing import TYPE_CHECKING

from panollava_geometry import PanoramaError

from panollava_hf._errors import UsageError
from panollava_hf.cli._usage import usage_errors

if TYPE_CHECKING:
    from panollava_hf.asking._answerer import Answerer


def load(model: str | None, device: str) -> "Answerer":
    """Load what `--model` names onto what `--device` names."""
    from transformers.utils import logging

    from panollava_hf.asking._answerer import Answerer

    logging.disable_progress_bar()  # one line of progress is enough
    with usage_errors(f"--model {model or 'default'}", OSError, ValueError, KeyError):
        try:
            return Answerer.load(model, device=device)
        except PanoramaError:
            raise
        except (RuntimeError, AssertionError) as error:  # torch's ways to refuse a device
            raise UsageError(f"--device {device}: {str(error).splitlines()[0]}") from error
