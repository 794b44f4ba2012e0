"""What several commands share: errors of a library call as one line, and the model of `--model`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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


def check_model(model: str | None) -> None:
    """Report a missing or empty checkpoint folder before torch is imported; Hub ids are left to the Hub.

    Raises:
        UsageError: `model` is a folder without a config, or neither a folder nor a Hub id.
    """
    if model is None:
        return
    folder = Path(model)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UsageError(f"--model {model}: this folder has no config.json; expected a PanoLLaVA checkpoint")
    if not folder.is_dir() and not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", model):
        raise UsageError(f"--model {model}: there is no such folder, and it is not a Hub id (owner/name)")


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
