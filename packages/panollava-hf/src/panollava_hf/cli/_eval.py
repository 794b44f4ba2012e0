"""`panollava eval --data DATA --output DIR`: how well a model answers, and whether it uses the image."""

import enum
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.cli import echo, on_interrupt

from panollava_hf import _console
from panollava_hf._errors import EvaluationError, ModelError, PanoLLaVaError, TableError, UsageError, one_line
from panollava_hf._files import check_writable
from panollava_hf.cli._usage import check_device, usage_errors

if TYPE_CHECKING:
    from panollava_hf.asking import Answerer

#: Names that end like this are files, not ids of datasets.
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


class DType(enum.StrEnum):
    """Floating-point type of the model."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def eval_(
    data: Annotated[
        str,
        typer.Option(metavar="DATA", help="PanoShapes folder, table (.csv, .jsonl, .parquet), or the id of a dataset."),
    ],
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of results; a stopped evaluation in it is continued.")
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="embedded, checkpoint folder, Hub id, or name of a model at --base-url."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="Address of an OpenAI-compatible endpoint.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="How a panorama is shown: views, describe, zoom, erp.")
    ] = None,
    view_size: Annotated[
        int | None, typer.Option(min=1, max=1024, metavar="PIXELS", help="Height and width of a view.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="WHERE", help="Direction of a view: text, burnt-in, both.")
    ] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="System prompt.")] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Split of a folder or dataset.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help="Use only the first N questions.")] = None,
    captions: Annotated[
        bool, typer.Option("--captions", help="Score the rows of a table without families as captions.")
    ] = False,
    shuffle_images: Annotated[
        bool, typer.Option("--shuffle-images", help="Also ask every question about another scene's image.")
    ] = False,
    rotate: Annotated[
        str | None,
        typer.Option(
            metavar="YAW|random", help="Also ask about panoramas rotated by a yaw in degrees, or a random one each."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="NUMBER", help="Seed of the shuffled images and random yaws.")
    ] = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="Number of questions answered together; default: by model."),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="Maximum length of an answer, in tokens.")
    ] = 64,
    device: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Device of the model: cpu, cuda, cuda:1, mps …; default: an accelerator."),
    ] = None,
    dtype: Annotated[DType | None, typer.Option(help="Floating-point type of the model; default: as stored.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out and count unreadable panoramas and unusable rows.")
    ] = False,
    private_redirects: Annotated[
        bool,
        typer.Option("--private-redirects", help="Follow redirects of image URLs from public to private addresses."),
    ] = False,
) -> None:
    """Ask a model many questions about panoramas and compare its answers with the expected ones.

    Writes results.json, results.md, predictions.jsonl and directions.png; prints the tables of results.md.
    """
    yaw = _checked_yaw(rotate)
    is_path = Path(data).suffix.lower() in TABLES or data.startswith((".", "/", "~"))
    if is_path and not Path(data).exists():
        raise UsageError(f"--data {data}: no such file or folder")
    if output.is_file():
        raise UsageError(f"--output {output}: this is a file, expected a folder")
    check_writable(output, "--output")
    if device is not None:
        check_device(device)
    with (
        _console.status("Reading the questions …"),
        usage_errors("cannot evaluate", EvaluationError, TableError, OSError),
    ):
        from panollava_hf.evaluation._evaluate import check, evaluate
        from panollava_hf.evaluation._questions import read_questions
        from panollava_hf.evaluation._results import Options

        options = Options(batch_size, max_new_tokens, skip_bad, seed, shuffle_images, yaw, private_redirects)
        questions = read_questions(data, split=split, captions=captions, limit=limit, skip_bad=skip_bad)
        check(questions, options, captions=captions)
    with _console.status("Loading the model …"):
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()  # our own status line is enough
        answerer = _load(
            model, base_url, device, dtype, strategy=strategy, view_size=view_size, labels=labels, system=system
        )
    if not answerer.trained:
        _console.note("the connector of this checkpoint is untrained.")
    bars = _console.progress()
    tasks: dict[str, Any] = {}
    answered: dict[str, tuple[int, int]] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total)
        bars.update(tasks[name], completed=done)
        answered[name] = done, total

    def complete() -> str:
        done, total = map(sum, zip((0, 0), *answered.values(), strict=True))
        return f"{done} of {total} predictions are in {output}; run the same command again to go on" if total else ""

    with on_interrupt(complete), usage_errors("cannot evaluate", EvaluationError, TableError, OSError), bars:
        results = evaluate(answerer, questions, output, options, progress=show)
    for message in results.notes():
        _console.note(message)
    echo(results.markdown().removesuffix("\n"))
    _console.say(f"Wrote {output}/ in {results.seconds:.0f} s.")


def _load(model: str | None, base_url: str | None, device: str | None, dtype: str | None, **shown: Any) -> "Answerer":
    """The model of `--model` or `--base-url`; without a device, on the accelerator of this machine, else the CPU."""
    from panollava_hf.asking import Answerer

    if base_url is not None:
        return Answerer.load(model, base_url=base_url, **shown)
    import torch

    if device is None:
        found = torch.accelerator.current_accelerator(check_available=True)
        device = "cpu" if found is None else found.type
    try:
        return Answerer.load(model, device=device, **({} if dtype is None else {"dtype": dtype}), **shown)
    except ModelError as error:
        raise UsageError(f"--model {error}") from error
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, PanoLLaVaError):
            raise
        raise UsageError(f"--device {device}: {one_line(error)}; use another device, such as cpu") from error


def _checked_yaw(rotate: str | None) -> str | None:
    """A yaw in one spelling, or "random"."""
    if rotate is None or rotate == "random":
        return rotate
    try:
        yaw = float(rotate)
    except ValueError:
        yaw = math.nan
    if not math.isfinite(yaw):
        raise UsageError(f"--rotate {rotate}: expected a yaw in degrees, or random")
    return f"{yaw:g}"
