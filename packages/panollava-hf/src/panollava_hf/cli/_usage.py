"""What several commands share: errors of a library call as one line, and checks before torch is imported."""

import difflib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from panollava_hf._errors import ModelError, UsageError
from panollava_hf._shown import shortened, shown

#: Suffixes of files that are tables.
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
#: Kinds of devices that torch has; whether this machine has one is found when it is used.
DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "npu", "mlu", "musa", "xla", "privateuseone")
#: What people call them.
OTHER_NAMES = {"gpu": "cuda", "nvidia": "cuda", "amd": "cuda", "rocm": "cuda", "hip": "cuda", "metal": "mps"}


@contextmanager
def usage_errors(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Raise the named exceptions of a block again as a `UsageError` whose message begins with `what`."""
    try:
        yield
    except kinds as error:
        raise UsageError(f"{what}: {str(error).strip()}") from error


def check_source(source: str, origin: str = "") -> None:
    """Report before torch is imported that a table or folder does not exist. All other texts may be ids of datasets.

    Args:
        source: What a command was given.
        origin: The option that named it, for the message.

    Raises:
        UsageError: It is a path, and there is nothing.
    """
    is_path = Path(source).suffix.lower() in TABLES or source.startswith((".", "/", "~"))
    if is_path and not Path(source).exists():
        raise UsageError(f"{origin} {source}: no such file or folder".lstrip())


def check_order(first: str, others: Sequence[str], order: str) -> None:
    """Report arguments in the wrong order: the first one is not a file, and a later one is.

    Args:
        first: What stands where the panorama is expected.
        others: The arguments after it.
        order: The command with its arguments in the right order.

    Raises:
        UsageError: They were swapped.
    """
    from panollava_geometry.addresses import is_address, source_name

    if is_address(first) or os.path.exists(first):
        return
    for other in others:
        address = is_address(other) and not any(letter.isspace() for letter in other)
        if address or os.path.isfile(other):
            kind = "an address" if address else "a file"
            raise UsageError(
                f"{shown(source_name(other) if address else other)} is {kind} and {shown(first)} is not: the panorama "
                f"comes first, as in {order}"
            )


def check_model(model: str, origin: str = "--model") -> str:
    """Report what is wrong with a model before torch is imported: its folder, or a Hub id's config, is looked at.

    Args:
        model: "embedded", a folder or a Hub id: a PanoLLaVA checkpoint, or an image-text-to-text model of transformers.
        origin: The option or environment variable that named it, for messages.

    Returns:
        The `model_type` in its config.

    Raises:
        UsageError: There is no such folder or model, it reads no images or writes no text, or its files are damaged or
            incomplete.
    """
    from panollava_hf.asking._default_model import EMBEDDED
    from panollava_hf.outside import _checkpoint_folder

    if model == EMBEDDED:
        return _checkpoint_folder.MODEL_TYPE
    try:
        return _checkpoint_folder.check_answering_model(model)
    except ModelError as error:
        raise UsageError(f"{origin} {error}") from error


def check_panollava(model: str, revision: str | None = None) -> None:
    """As `check_model`, for commands that need a PanoLLaVA checkpoint.

    Args:
        model: Checkpoint folder or Hub id.
        revision: Branch, tag or commit of a model on the Hub.

    Raises:
        UsageError: There is no such folder or model, it is of another kind, or its files are damaged or incomplete.
    """
    from panollava_hf.outside._checkpoint_folder import check_checkpoint

    try:
        check_checkpoint(model, revision=revision)
    except ModelError as error:
        raise UsageError(f"--model {error}") from error


def check_embedder(model: str, revision: str | None = None) -> str:
    """As `check_model`, for commands that make vectors.

    Args:
        model: Folder or Hub id of a PanoLLaVA checkpoint, an embedding export or a vision tower.
        revision: Branch, tag or commit of a model on the Hub.

    Returns:
        The `model_type` in its config.

    Raises:
        UsageError: There is no such folder or model, it reads no images, or its files are damaged or incomplete.
    """
    from panollava_hf.outside import _checkpoint_folder

    try:
        return _checkpoint_folder.check_embedder(model, revision=revision)
    except ModelError as error:
        raise UsageError(f"--model {error}") from error


def check_tower(part: str, name: str) -> None:
    """Report what is wrong with a tower before torch is imported.

    Args:
        part: `vision` or `text`, also the name of its option.
        name: Folder or Hub id.

    Raises:
        UsageError: There is no such folder or model, it is of another kind, or its files are damaged or incomplete.
    """
    from panollava_hf.outside import _checkpoint_folder

    try:
        _checkpoint_folder.check_tower(name, part)
    except ModelError as error:
        raise UsageError(f"--{part} {error}") from error


def check_device(device: str) -> None:
    """Check the name of a device.

    Raises:
        UsageError: There is no such kind of device; the message names the ones that there are.
    """
    kind, _, number = device.partition(":")
    if kind in DEVICES and (not number or number.isdecimal()):
        return
    near = OTHER_NAMES.get(kind.lower()) or next(iter(difflib.get_close_matches(kind.lower(), DEVICES, 1)), None)
    hint = f"did you mean {near}? " if near else ""
    raise UsageError(f"--device {shortened(device, 80)}: unknown device; {hint}expected cpu, cuda, cuda:1, mps, xpu, …")
