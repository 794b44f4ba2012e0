"""`panollava demo`."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from panollava_hf import _console
from panollava_hf._errors import UsageError
from panollava_hf._shown import shortened
from panollava_hf.cli import _model_options
from panollava_hf.cli._model_options import (
    BaseUrlOption,
    DeviceOption,
    DTypeOption,
    LabelsOption,
    MaxNewTokensOption,
    ModelChoice,
    StrategyOption,
    SystemOption,
    TimeoutOption,
    ViewSizeOption,
)
from panollava_hf.cli._serve import _is_loopback

if TYPE_CHECKING:
    from panollava_hf.asking import Answerer

_PACKAGES = ("gradio", "fastapi", "uvicorn")


def demo(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A model as in `ask`: embedded, a folder, a Hub id, or with --base-url its name at the endpoint. Give "
            "it several times to choose between models in the page.",
        ),
    ] = None,
    base_url: BaseUrlOption = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen at; 0.0.0.0 for all networks.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0: any free one.")] = 7860,
    share: Annotated[
        Literal["no", "yes"],
        typer.Option("--share", help="yes: a public address for 72 hours, through servers of Gradio."),
    ] = "no",
    max_upload_mb: Annotated[
        int, typer.Option("--max-upload-mb", min=1, max=1024, help="Largest image file of an upload, in MB.")
    ] = 64,
    max_waiting: Annotated[
        int, typer.Option("--max-waiting", min=1, max=10_000, help="Most questions that wait; others get a sentence.")
    ] = 32,
    samples: Annotated[
        Path | None,
        typer.Option(
            "--samples",
            metavar="FOLDER",
            help="Panoramas that the page offers in place of its own; samples.json in it gives titles and questions.",
        ),
    ] = None,
    strategy: StrategyOption = None,
    view_size: ViewSizeOption = None,
    labels: LabelsOption = None,
    system: SystemOption = None,
    max_new_tokens: MaxNewTokensOption = 256,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    timeout: TimeoutOption = None,
) -> None:
    """Open a page in which one looks around in a panorama and asks about it.

    Uploads, URLs and samples are shown in a 360° viewer, with the views, regions and directions of each answer. Nothing
    of an upload is kept. Ctrl-C ends it.
    """
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise UsageError(f'demo needs the package {missing[0]}: pip install "panollava-hf[demo]"')
    names: list[str | None] = list(model) if model else [None]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise UsageError(f"--model {repeated[0]} is given twice; name each model once")
    choices = [
        _model_options.check(ModelChoice(name, base_url, strategy, view_size, labels, device, dtype, system, timeout))
        for name in names
    ]
    if samples is not None and not samples.is_dir():
        raise UsageError(f"--samples {shortened(str(samples), 200)}: there is no such folder")
    from panollava_hf.serving._server import listen

    with listen(host, port) as place:
        number = place.getsockname()[1]
        answerers: list[Answerer] = [_model_options.load(choice) for choice in choices]
        from panollava_hf.demo import DemoSettings, Models, run_demo
        from panollava_hf.demo._sample_folder import read_folder

        loopback = _is_loopback(host)
        settings = DemoSettings(
            max_upload_mb,
            max_waiting,
            max_new_tokens=max_new_tokens,
            private_urls=loopback and share == "no",
            samples=None if samples is None else read_folder(samples),
        )

        def started() -> None:
            shown = f"[{host}]" if ":" in host else host
            _console.say(f"The page is at http://{shown}:{number} (Ctrl-C ends it)")
            if not loopback:
                _console.note(f"everyone who reaches {host} can use this page and its models.")

        run_demo(Models(answerers, max_waiting=max_waiting), place, settings, on_start=started, share=share == "yes")
    _console.say("The page has ended.")
