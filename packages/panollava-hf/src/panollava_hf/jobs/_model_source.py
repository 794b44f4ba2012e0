"""What a process needs to load the model of a job: a digest of its weights, its address, and no progress bars."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from panollava_hf._errors import ChatError

#: The environment's address of the endpoint, for an address that contains a password.
ADDRESS_VARIABLE = "OPENAI_BASE_URL"


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


@contextmanager
def without_progress_bar(model: str | None) -> Iterator[None]:
    """Load a model without the progress bar of transformers, unless it is downloaded."""
    from panollava_hf.asking._default_model import needs_download

    if model is None or needs_download(model):
        yield
        return
    with without_bars():
        yield


@cache
def weights_of(name: str | None) -> str | None:
    """A digest of the files of a local model, or its commit on the Hub."""
    from panollava_hf.asking._default_model import chosen_model

    return weights_digest(chosen_model(name))


def whole_address(base_url: str | None, address: str | None) -> str | None:
    """The address of an endpoint with what is secret in it.

    Args:
        base_url: The address without its secrets; None if there is no endpoint.
        address: The whole address, if this process has it.

    Raises:
        ChatError: This process does not have it.
    """
    if base_url is None or address is not None:
        return address
    from panollava_hf.asking.models.endpoint._address import read_address

    given = os.environ.get(ADDRESS_VARIABLE, "").strip()
    if given and read_address(given).url == base_url:
        return given
    raise ChatError(
        f"{base_url[:120]}: the user, password or query of this address is not passed to other processes; set "
        f"{ADDRESS_VARIABLE} to the whole address in the environment of the workers"
    )
