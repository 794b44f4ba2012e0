"""`panollava eval --data DATA --output DIR`: how well a model answers, and whether it uses the image."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from panollava_geometry.cli import echo, on_interrupt

from panollava_hf import _console
from panollava_hf._errors import EvaluationError, TableError, UsageError
from panollava_hf._files import check_writable
from panollava_hf.cli import _model_options
from panollava_hf.cli._columns import ColumnOption, columns_of
from panollava_hf.cli._model_options import (
    BaseUrlOption,
    DeviceOption,
    DryRunOption,
    DTypeOption,
    LabelsOption,
    MaxNewTokensOption,
    ModelChoice,
    ModelOption,
    StrategyOption,
    SystemOption,
    TimeoutOption,
    ViewSizeOption,
)
from panollava_hf.cli._usage import check_source, usage_errors


def eval_(
    data: Annotated[
        str,
        typer.Option(metavar="DATA", help="PanoShapes folder, table (.csv, .jsonl, .parquet), or the id of a dataset."),
    ],
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of results; a stopped evaluation in it is continued.")
    ],
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    strategy: StrategyOption = None,
    view_size: ViewSizeOption = None,
    labels: LabelsOption = None,
    system: SystemOption = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Split of a folder or dataset.")] = "test",
    column: ColumnOption = None,
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
    max_new_tokens: MaxNewTokensOption = 64,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    timeout: TimeoutOption = None,
    dry_run: DryRunOption = False,
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
    columns = columns_of(column)
    check_source(data, "--data")
    if output.is_file():
        raise UsageError(f"--output {output}: this is a file, expected a folder")
    check_writable(output, "--output")
    choice = _model_options.check(
        ModelChoice(model, base_url, strategy, view_size, labels, device, dtype, system, timeout)
    )
    with (
        _console.status("Reading the questions …"),
        usage_errors("cannot evaluate", EvaluationError, TableError, OSError),
    ):
        from panollava_hf.evaluation._evaluate import check, evaluate
        from panollava_hf.evaluation._questions import read_questions
        from panollava_hf.evaluation._results import Options

        options = Options(batch_size, max_new_tokens, skip_bad, seed, shuffle_images, yaw, private_redirects)
        questions = read_questions(
            data, split=split, columns=columns, captions=captions, limit=limit, skip_bad=skip_bad
        )
        check(questions, options, captions=captions)
    answerer = _model_options.load(choice, weights=not dry_run)
    if dry_run:
        from panollava_hf.evaluation._estimate import estimate

        with usage_errors("cannot evaluate", EvaluationError, OSError):
            echo(str(estimate(answerer, questions, options)))
        return
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
