"""The options and the run of the commands that work on many panoramas: `embed`, `caption`, `answer` and `crop`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from panollava_geometry.cli import on_interrupt

from panollava_hf import _console
from panollava_hf._shown import shortened
from panollava_hf.cli._model_options import check_name

if TYPE_CHECKING:
    from panollava_hf.jobs._job import Job
    from panollava_hf.jobs._source import Source
    from panollava_hf.jobs._summary import Summary

ENGINES = ("local", "ray")

EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="|".join(ENGINES),
        help="local: processes on this machine. ray: Ray Data, on the cluster in RAY_ADDRESS, or on this machine.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="NUMBER", help="Processes, each with its own model. Default: 1, or by the cluster."
    ),
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, metavar="NUMBER", help="Rows that the model works on together."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="NUMBER", help="Use only the first rows of the source.")
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume/--no-resume",
        help="Keep the rows that an earlier run has computed, or start again. An existing output is replaced when the "
        "new one is complete.",
    ),
]
RetryErrorsOption = Annotated[bool, typer.Option("--retry-errors", help="Compute rows with an error again.")]
SplitOption = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Split of a dataset, such as train or test.")
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="Column of a table that has another name, such as image=photo or id=key. Repeatable.",
    ),
]


@dataclass(frozen=True)
class JobOptions:
    """How a job is run; see `run_job`."""

    engine: str = "local"
    workers: int | None = None
    batch_size: int | None = None
    limit: int | None = None
    resume: bool = True
    retry_errors: bool = False

    def check(self) -> None:
        """Check the options before torch is imported.

        Raises:
            UsageError: There is no such engine.
        """
        check_name("--engine", self.engine, ENGINES)


def run_command(job: "Job", source: "Source", output: Path, options: JobOptions) -> "Summary":
    """Run a job with progress, and print its summary on stderr.

    Raises:
        JobError: See `run_job`.
        typer.Exit: With code 1 if rows have an error, or 3 if the model does not know some.
    """
    options.check()
    from panollava_hf.jobs._run import run_job

    for line in source.notes:
        _console.note(line)

    def go_on() -> str:
        return f"finished parts of {shortened(str(output))} are kept; the same command goes on"

    with on_interrupt(go_on):
        summary = run_job(
            job,
            source,
            output,
            engine=options.engine,
            workers=options.workers,
            batch_size=options.batch_size,
            limit=options.limit,
            resume=options.resume,
            retry_errors=options.retry_errors,
        )
    for line in summary.lines():
        _console.say(line)
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)
    return summary
