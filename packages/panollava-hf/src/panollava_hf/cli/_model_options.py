"""Which model answers, and how it is shown a panorama: the options of `ask`, `caption`, `locate` and `eval`.

A command takes the options whose types are below, puts them into a `ModelChoice`, and calls `check` before and `load`
after torch is imported. A key is never an option: command lines are visible to other users and stay in histories.
"""

import difflib
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from panollava_hf import _console
from panollava_hf._errors import ModelError, UsageError, one_line
from panollava_hf._shown import shortened
from panollava_hf._start_up import leave_out_extras
from panollava_hf.cli._usage import check_device, check_model

if TYPE_CHECKING:
    from panollava_hf.asking import Answerer, Budget

#: Names of the strategies; the strategies themselves import torch.
STRATEGIES = ("views", "describe", "zoom", "erp")
LABELS = ("text", "burnt-in", "both")
DTYPES = ("float32", "bfloat16", "float16")
#: What people call them.
OTHER_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
#: The `model_type` of PanoLLaVA checkpoints.
PANOLLAVA = "panollava"
#: Sides of a view in pixels.
MIN_SIZE, MAX_SIZE = 16, 1024

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Hub id or folder of an image-text-to-text model or PanoLLaVA checkpoint; with --base-url, its name at "
        'the endpoint; "embedded" is the small checkpoint for rendered scenes in this package. Default: the '
        "environment's PANOLLAVA_MODEL, else Qwen/Qwen3-VL-2B-Instruct, or the only model of the endpoint.",
    ),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="OpenAI-compatible endpoint, such as http://localhost:8000/v1. Its key is read from the environment's "
        "OPENAI_API_KEY only.",
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="|".join(STRATEGIES),
        help="How the panorama is shown: labelled views, views described first, described and zoomed in, or the "
        "equirectangular image. Default: that of the model's family.",
    ),
]
ViewSizeOption = Annotated[
    int | None,
    typer.Option(
        "--view-size",
        min=MIN_SIZE,
        max=MAX_SIZE,
        metavar="PIXELS",
        help="Height and width of a view; default: that of the model's family.",
    ),
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="|".join(LABELS),
        help="Where the direction of a view is written: in the text, in the image, or in both. Default: that of the "
        "model's family.",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="Device of a local model: cpu, cuda, cuda:1, mps …; default: the accelerator of this machine, else cpu.",
    ),
]
DTypeOption = Annotated[
    str | None,
    typer.Option("--dtype", metavar="|".join(DTYPES), help="Floating-point type of a local model; default: as stored."),
]
SystemOption = Annotated[str | None, typer.Option("--system", metavar="TEXT", help="System prompt; default: none.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", help="Time after which a request to an endpoint is given up."),
]
MaxNewTokensOption = Annotated[
    int,
    typer.Option("--max-new-tokens", min=1, metavar="NUMBER", help="Maximum length of an answer, in tokens."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print views, tokens and calls, and exit without asking the model.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON objects, one per line, instead of text.")]


BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TOKENS|CALLS",
        help="The most that all answers may take, such as 20k, 12calls or 12calls,20k: if more would be needed, "
        "nothing is sent.",
    ),
]


@dataclass(frozen=True)
class ModelChoice:
    """Which model answers, and how it is shown a panorama; None is the default.

    Attributes:
        model: "embedded", a folder, a Hub id, or the name of a model at the endpoint.
        base_url: Address of an OpenAI-compatible endpoint.
        strategy: Name of the strategy.
        view_size: Height and width of a view in pixels.
        labels: Where the direction of a view is written.
        device: Device of a local model.
        dtype: Floating-point type of a local model.
        system: System prompt.
        timeout: Seconds until a request to an endpoint is given up.
        kind: The `model_type` of a local model that was named, which `check` finds out.
    """

    model: str | None = None
    base_url: str | None = None
    strategy: str | None = None
    view_size: int | None = None
    labels: str | None = None
    device: str | None = None
    dtype: str | None = None
    system: str | None = None
    timeout: float | None = None
    kind: str | None = None


def check(choice: ModelChoice) -> ModelChoice:
    """Check everything that can be checked without torch, and name the model.

    A line on stderr says so if the default model is used.

    Returns:
        The choice with the name of its model.

    Raises:
        UsageError: An option has an impossible value, does not apply to this model, or there is no such model.
        ChatError: The address is not a URL, or the endpoint does not serve exactly one model and none was named.
    """
    check_name("--strategy", choice.strategy, STRATEGIES)
    check_name("--labels", choice.labels, LABELS)
    check_name("--dtype", choice.dtype, DTYPES, OTHER_DTYPES)
    if choice.device is not None:
        check_device(choice.device)
    if choice.timeout is not None and not (math.isfinite(choice.timeout) and choice.timeout > 0):
        raise UsageError(f"--timeout {choice.timeout:g}: expected a number of seconds above 0")
    if choice.base_url is not None:
        return _at_endpoint(choice)
    if choice.timeout is not None:
        raise UsageError("--timeout is for endpoints; pass it with --base-url, or remove it")
    return _local(choice)


def check_name(option: str, value: str | None, names: tuple[str, ...], others: Mapping[str, str] | None = None) -> None:
    """Check the value of an option that takes one of a few names.

    Raises:
        UsageError: It is another; the message suggests the nearest.
    """
    if value is None or value in names:
        return
    near = (others or {}).get(value.lower()) or next(iter(difflib.get_close_matches(value.lower(), names, 1)), None)
    hint = f"did you mean {near}? " if near else ""
    raise UsageError(f"{option} {shortened(value, 80)}: {hint}expected {', '.join(names[:-1])} or {names[-1]}")


def load(choice: ModelChoice, *, weights: bool = True) -> "Answerer":
    """Load the model of a choice that was checked. Notes say what the user should know about it.

    Args:
        choice: The choice.
        weights: False for `--dry-run`: a model of transformers is then not read, and not fetched, only its settings.

    Raises:
        ModelError: The model cannot be loaded.
        ChatError: The endpoint cannot be used, or the model does not take this strategy.
        UsageError: torch refuses the device.
    """
    from panollava_hf.asking._default_model import EMBEDDED, needs_download

    if choice.base_url is None and choice.model == EMBEDDED:
        leave_out_extras()
    from panollava_hf.asking import Answerer

    shown: dict[str, Any] = {
        "strategy": choice.strategy,
        "view_size": choice.view_size,
        "labels": choice.labels,
        "system": choice.system,
    }
    if choice.base_url is not None:
        options: dict[str, Any] = {} if choice.timeout is None else {"timeout": choice.timeout}
        return Answerer.load(choice.model, base_url=choice.base_url, **shown, **options)
    from transformers.utils import logging

    from panollava_hf.jobs._device import accelerator

    device = choice.device or accelerator()
    given = {"device": device, "dtype": choice.dtype}
    options = {name: value for name, value in given.items() if value is not None}
    if not weights and choice.kind != PANOLLAVA:
        options["weights"] = False
    downloading = weights and needs_download(choice.model or "")
    if not downloading or not sys.stderr.isatty():
        logging.disable_progress_bar()  # our own status line is enough, unless gigabytes are fetched
    with nullcontext() if downloading else _console.status("Loading the model …"), _device_errors(device):
        answerer = Answerer.load(choice.model, **shown, **options)
    if answerer.name == EMBEDDED:
        _console.note(
            "the embedded checkpoint was trained on PanoShapes only, rendered panoramas of coloured solids. "
            "For photographs, use another --model."
        )
    if not answerer.trained:
        _console.note("the connector of this checkpoint is untrained; its answers are not grounded in the image.")
    family = answerer.chat.family
    if not family.known:
        _console.note(
            f"model type {shortened(family.name, 40)!r} is not in the table of families: views of "
            f"{answerer.look.size[0]} pixels, strategy {answerer.strategy}, labels {answerer.look.labels} are used."
        )
    return answerer


def read_budget(text: str | None) -> "Budget | None":
    """The value of `--budget`.

    Raises:
        UsageError: It is not a number of calls or tokens.
    """
    if text is None:
        return None
    from panollava_hf.asking import Budget

    return Budget.parse(text)


def _local(choice: ModelChoice) -> ModelChoice:
    """A choice of a model in this process, with its name."""
    from panollava_hf.asking._default_model import DEFAULT_MODEL, VARIABLE, default_notice, named_model

    name = named_model(choice.model)
    if name is None:
        try:
            notice = default_notice()
        except ModelError as error:
            raise UsageError(str(error)) from error
        _console.note(notice)
        return replace(choice, model=DEFAULT_MODEL)
    kind = check_model(name, "--model" if choice.model else VARIABLE)
    if kind == PANOLLAVA:
        _check_panollava_options(choice, name)
    return replace(choice, model=name, kind=kind)


def _check_panollava_options(choice: ModelChoice, name: str) -> None:
    """Refuse what a PanoLLaVA checkpoint, which cuts its own views, would ignore."""
    given = {
        f"--strategy {choice.strategy}": choice.strategy not in (None, "views"),
        f"--view-size {choice.view_size}": choice.view_size is not None,
        f"--labels {choice.labels}": choice.labels is not None,
        "--system": choice.system is not None,
    }
    wrong = [option for option, is_given in given.items() if is_given]
    if wrong:
        raise UsageError(
            f"{wrong[0]} does not work with {shortened(name, 200)}: a PanoLLaVA checkpoint cuts its own views and "
            "reads no system prompt; remove the option, or use another model"
        )


def _at_endpoint(choice: ModelChoice) -> ModelChoice:
    """A choice of a model at an endpoint, with its name."""
    from panollava_hf.asking._default_model import EMBEDDED, named_model
    from panollava_hf.asking.models.endpoint._address import read_address

    url = read_address(choice.base_url or "").url
    for option, value in (("--device", choice.device), ("--dtype", choice.dtype)):
        if value is not None:
            raise UsageError(f"{option} {value}: with --base-url the model runs at the endpoint; remove {option}")
    name = named_model(choice.model)
    if name == EMBEDDED:
        raise UsageError(
            f"{EMBEDDED} is the checkpoint inside this package, not a model of an endpoint; remove --base-url, or "
            "name a model of the endpoint with --model"
        )
    if name is None:
        from panollava_hf.asking.models._served import only_model

        name = only_model(choice.base_url or "")
        _console.say(f"Using the model {name} of {url}.")
    return replace(choice, model=name)


@contextmanager
def _device_errors(device: str) -> Iterator[None]:
    """What torch raises for a device that it cannot use or whose memory is too small, as one line."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # NotImplementedError is a RuntimeError
        raise UsageError(f"--device {device}: {one_line(error)}; use another device, such as cpu") from error
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UsageError(
            f"--device {device}: its memory is too small for this model ({one_line(error)}); use --dtype bfloat16, a "
            "smaller model, or --device cpu"
        ) from error
