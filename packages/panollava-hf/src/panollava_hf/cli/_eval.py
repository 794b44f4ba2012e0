"""`panollava eval --data DIR --output DIR`: how well a model answers, and whether it looks."""

import enum
import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from panollava_hf._errors import UsageError
from panollava_hf.cli._usage import usage_errors

if TYPE_CHECKING:
    from panollava_hf.asking._answerer import Answerer

stderr = Console(stderr=True, highlight=False)


class DType(enum.StrEnum):
    """What the model computes in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def eval_(
    data: Annotated[
        str, typer.Option(help="PanoShapes folder, table (.csv, .jsonl, .parquet), or the id of a data set.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of results; that of a stopped evaluation is continued.")],
    model: Annotated[
        str | None, typer.Option(help="Checkpoint folder or Hub id; default: the embedded checkpoint.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of a folder or data set.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    captions: Annotated[
        bool, typer.Option("--captions", help="All rows of a table without families are captions.")
    ] = False,
    shuffle_images: Annotated[
        bool, typer.Option("--shuffle-images", help="Also ask every question about another scene's image.")
    ] = False,
    rotate: Annotated[
        str | None,
        typer.Option(metavar="YAW|random", help="Also roll the panoramas by a yaw in degrees, and their questions."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of shuffled images and random yaws.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions answered at once.")] = 64,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 64,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, cuda, cuda:1, mps …")] = "cpu",
    dtype: Annotated[DType | None, typer.Option(help="What the model computes in; default: as stored.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out and count panoramas that cannot be read.")
    ] = False,
) -> None:
    """Ask a model many questions about panoramas, and count right answers.

    Writes results.json, results.md, predictions.jsonl and directions.png; prints the table of results.md.
    """
    yaw = _checked_yaw(rotate)
    with stderr.status("Reading the questions …"):
        from panollava_hf.data._tables import TableError
        from panollava_hf.evaluation import EvaluationError, Options, read_rows
        from panollava_hf.evaluation._evaluate import check_beforehand, evaluate, left_undone

        _hush_datasets()
        options = Options(
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            skip_bad=skip_bad,
            seed=seed,
            shuffle_images=shuffle_images,
            rotate=yaw,
        )
        with usage_errors("cannot evaluate", EvaluationError, TableError, OSError):
            rows = read_rows(data, split=split, captions=captions, limit=limit)
            check_beforehand(rows, options, captions=captions)
    with stderr.status("Loading the model …"):
        answerer = _load(model, device, dtype)
    if not answerer.trained:
        stderr.print("[yellow]Note:[/yellow] the connector of this checkpoint is untrained.", soft_wrap=True)
    with usage_errors("cannot evaluate", EvaluationError, OSError), _Bars() as bars:
        results = evaluate(answerer, rows, output, options, progress=bars.told)
    for note in left_undone(results):
        stderr.print(f"[yellow]Note:[/yellow] {note}", soft_wrap=True)
    typer.echo((output / "results.md").read_text(encoding="utf-8"), nl=False)
    stderr.print(f"Wrote {output}/ in {results['seconds']:.0f} s.", soft_wrap=True)


def _hush_datasets() -> None:
    """One line of progress is enough; where `datasets` is missing, reading says so."""
    if find_spec("datasets") is not None:
        from datasets import disable_progress_bars

        disable_progress_bars()


class _Bars(Progress):
    """A bar for each pass over the questions."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        super().__init__(*columns, console=stderr, transient=True)
        self.bars: dict[str, TaskID] = {}

    def told(self, name: str, done: int, total: int) -> None:
        """So many questions of a pass are answered."""
        if name not in self.bars:
            self.bars[name] = self.add_task(name, total=total)
        self.update(self.bars[name], completed=done)


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


def _load(model: str | None, device: str, dtype: DType | None) -> "Answerer":
    import torch
    from transformers.utils import logging

    from panollava_hf.cli._loading import load

    logging.set_verbosity_error()
    answerer = load(model, device)
    if dtype is not None:
        answerer.model.to(getattr(torch, dtype.value))
    return answerer
