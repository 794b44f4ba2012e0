"""Where the weights of a model come from: a digest of them, and loading without progress bars."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def weights_digest(name: str) -> str | None:
    """A digest of the files of a local model, or its commit on the Hub.

    Args:
        name: "embedded", a folder or a Hub id.
    """
    from panollava_hf.asking._default_model import EMBEDDED
    from panollava_hf.asking.models._fingerprint import fingerprint
    from panollava_hf.outside._hub_source import find_source

    folder = None if name == EMBEDDED else find_source(name, "config")
    return fingerprint(name, None) if folder is None or folder == Path(name) else folder.name


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep transformers from showing the progress of a load, which takes a moment only."""
    from transformers.utils import logging

    shown_before = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown_before:
            logging.enable_progress_bar()
