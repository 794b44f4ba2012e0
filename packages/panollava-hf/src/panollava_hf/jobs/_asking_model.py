"""What a process needs to load the model of a job: its address, and a digest of its weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from panollava_hf._errors import ChatError
from panollava_hf.jobs._model_source import weights_digest, without_bars

#: The environment's address of the endpoint, for an address that contains a password.
ADDRESS_VARIABLE = "OPENAI_BASE_URL"


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
