"""What `answer` and `caption -o` share: the model, an estimate of the cost, and the run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.cli import echo

from panollava_hf import _console
from panollava_hf._errors import UsageError
from panollava_hf._start_up import leave_out_extras
from panollava_hf.cli import _model_options
from panollava_hf.cli._job_options import JobOptions, run_command
from panollava_hf.cli._model_options import ModelChoice
from panollava_hf.cli._printing import echo_json

if TYPE_CHECKING:
    from panollava_hf.jobs._asking import AskingJob
    from panollava_hf.jobs._source import Source

#: Requests to an endpoint at the same time.
CONCURRENCY = 6

ConcurrencyOption = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        min=1,
        metavar="NUMBER",
        help=f"Requests to an endpoint at the same time, of all workers together. Default: {CONCURRENCY}.",
    ),
]


@dataclass(frozen=True)
class AskingOptions:
    """The options of a command that asks a model about the rows of a source.

    Attributes:
        output: The file of results; None if only the cost is printed.
        choice: The model, not checked yet.
        job: How the job is run.
        max_new_tokens: Maximum length of a reply, in tokens.
        concurrency: Requests to an endpoint at the same time.
        budget: The most that all rows may take.
        dry_run: Whether only the cost is printed.
        as_json: Whether it is printed as JSON.
        reading: Arguments of `load_equirectangular`.
        private_redirects: Whether URLs of images may redirect from public to private addresses.
    """

    output: Path | None
    choice: ModelChoice
    job: JobOptions
    max_new_tokens: int
    concurrency: int | None
    budget: str | None
    dry_run: bool
    as_json: bool
    reading: Mapping[str, Any]
    private_redirects: bool = False

    def check(self) -> "AskingOptions":
        """Check the options before torch is imported.

        Returns:
            The options with a model that has a name, and the number of workers at an endpoint.

        Raises:
            UsageError: An option has an impossible value, or does not apply to this model.
        """
        from dataclasses import replace

        self.job.check()
        if self.output is None and not self.dry_run:
            raise UsageError("no file for the results; name one with -o, such as -o answers.jsonl")
        if self.as_json and not self.dry_run:
            raise UsageError("--json prints the cost of a --dry-run; results go to the file of -o")
        if self.choice.base_url is None:
            if self.concurrency is not None:
                raise UsageError("--concurrency is for endpoints; pass it with --base-url, or remove it")
            return replace(self, choice=_model_options.check(self.choice))
        total, workers = self.concurrency or CONCURRENCY, self.job.workers or 1
        if total % workers:
            raise UsageError(
                f"--concurrency {total} cannot be divided among {workers} workers; use a multiple of --workers"
            )
        job = replace(self.job, workers=workers)
        return replace(self, choice=_model_options.check(self.choice), concurrency=total // workers, job=job)

    def of_job(self) -> dict[str, Any]:
        """The arguments of the job."""
        choice = self.choice
        found = {
            "base_url": choice.base_url,
            "strategy": choice.strategy,
            "view_size": choice.view_size,
            "labels": choice.labels,
            "system": choice.system,
            "max_new_tokens": self.max_new_tokens,
            "device": choice.device,
            "dtype": choice.dtype,
            "timeout": choice.timeout,
            "batch_size": self.job.batch_size,
            "concurrency": self.concurrency,
            **self.reading,
            "private_redirects": self.private_redirects or None,
        }
        return {name: value for name, value in found.items() if value is not None}


def run_asking(job: "AskingJob", rows: "Source", options: AskingOptions) -> None:
    """Print the cost of a job, or run it.

    Raises:
        ChatError: The budget does not suffice, or the endpoint does not answer.
        typer.Exit: With code 1, if rows have an error.
    """
    choice, embedded = options.choice, False
    if choice.base_url is None:
        from panollava_hf.asking._default_model import EMBEDDED

        embedded = choice.model == EMBEDDED
    most = _model_options.read_budget(options.budget)
    if options.dry_run or most is not None:
        from panollava_hf.jobs._job_cost import estimate_job

        for line in rows.notes if options.dry_run else ():
            _console.note(line)
        answerer = _model_options.load(choice, weights=False)
        with _console.status("Counting …"):
            cost = estimate_job(job, answerer, rows)
        if options.dry_run:
            if options.as_json:
                echo_json(cost.to_dict())
            else:
                echo(str(cost))
        if most is not None:
            most.check(cost.cost)
        if options.dry_run:
            return
    elif embedded:
        leave_out_extras()
        _console.note(
            "the embedded checkpoint was trained on PanoShapes only, rendered panoramas of coloured solids. "
            "For photographs, use another --model."
        )
    in_this_process = options.job.engine == "local" and (options.job.workers or 1) == 1
    if job.private and not in_this_process and choice.base_url is not None:
        os.environ.setdefault("OPENAI_BASE_URL", choice.base_url)  # where worker processes look for a password
    if in_this_process:
        with _console.status("Loading the model …"):
            _ = job.model  # an error of the model or the device is reported before anything is written
    assert options.output is not None
    run_command(job, rows, options.output, options.job)
