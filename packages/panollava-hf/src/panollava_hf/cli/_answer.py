"""`panollava answer TABLE -o answers.jsonl`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from panollava_geometry.cli import EyeOption, HFovOption, PartialOption, WholeSphereOption, load_options

from panollava_hf import _console
from panollava_hf._errors import UsageError
from panollava_hf._shown import listed, shortened
from panollava_hf.cli._asking_jobs import AskingOptions, ConcurrencyOption, run_asking
from panollava_hf.cli._job_options import (
    BatchSizeOption,
    ColumnsOption,
    EngineOption,
    JobOptions,
    LimitOption,
    ResumeOption,
    RetryErrorsOption,
    SplitOption,
    WorkersOption,
)
from panollava_hf.cli._job_source import PrivateRedirectsOption, open_rows
from panollava_hf.cli._model_options import (
    BaseUrlOption,
    BudgetOption,
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

if TYPE_CHECKING:
    from panollava_hf.jobs._source import Source

#: Rows that are looked at for a question.
_LOOKED_AT = 100


def answer(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="A table (CSV, JSONL, Parquet), WebDataset shards (.tar) or a dataset of the Hub (owner/name) with "
            "panoramas and questions; with --question also a folder of panoramas, a list of paths, or one panorama.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Results: a file .jsonl or .parquet, or a folder for Parquet files.",
        ),
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", metavar="TEXT", help="One question for all panoramas.")
    ] = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    strategy: StrategyOption = None,
    view_size: ViewSizeOption = None,
    labels: LabelsOption = None,
    system: SystemOption = None,
    budget: BudgetOption = None,
    dry_run: DryRunOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the cost of a --dry-run as a JSON object instead of a table.")
    ] = False,
    max_new_tokens: MaxNewTokensOption = 256,
    concurrency: ConcurrencyOption = None,
    timeout: TimeoutOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    engine: EngineOption = "local",
    workers: WorkersOption = None,
    batch_size: BatchSizeOption = None,
    limit: LimitOption = None,
    resume: ResumeOption = True,
    retry_errors: RetryErrorsOption = False,
    split: SplitOption = None,
    columns: ColumnsOption = None,
    hfov: HFovOption = None,
    partial: PartialOption = False,
    eye: EyeOption = None,
    whole_sphere: WholeSphereOption = False,
    private_redirects: PrivateRedirectsOption = False,
) -> None:
    """Answer the questions of a table about its panoramas.

    Each row has an answer, or the reason why there is none in the column `error`; the exit code is then 1. A command
    that was stopped goes on if it is run again.
    """
    if question is not None and not question.strip():
        raise UsageError("--question is empty; write what you want to know about each panorama")
    options = AskingOptions(
        output,
        ModelChoice(model, base_url, strategy, view_size, labels, device, dtype, system, timeout),
        JobOptions(engine, workers, batch_size, limit, resume, retry_errors),
        max_new_tokens,
        concurrency,
        budget,
        dry_run,
        as_json,
        load_options(hfov, partial, eye, whole_sphere),
        private_redirects,
    ).check()
    rows = open_rows(table, split, columns, limit)
    check_questions(rows, question)
    from panollava_hf.jobs import PanoramaAnswerer

    run_asking(PanoramaAnswerer(options.choice.model, question=question, **options.of_job()), rows, options)


def check_questions(rows: "Source", question: str | None) -> None:
    """Check that each row has a question, or all have the same; options of multiple-choice questions are not asked.

    Raises:
        UsageError: There is neither a column of questions nor `--question`, or both are given.
    """
    first = next((row for row in rows.rows(0, min(len(rows), _LOOKED_AT)) if not row.get("error")), {})
    if question is not None and "question" in first:
        raise UsageError(f"--question: {shortened(rows.name, 120)} has questions of its own; remove --question")
    if question is None and first and "question" not in first:
        names = [shortened(str(name), 40) for name in first if name not in ("id", "path", "image", "bytes", "error")]
        other = f"; its other columns are {listed(names, 8)}" if names else ""
        raise UsageError(
            f"{shortened(rows.name, 120)} has no column 'question'{other}. Name it with --column question=NAME, or "
            "ask all panoramas one question with --question"
        )
    if "options" in first:
        _console.note("the model is not shown the column 'options'; `panollava eval` asks multiple-choice questions")
