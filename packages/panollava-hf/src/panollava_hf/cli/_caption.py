"""`panollava caption PANORAMA …`."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry import PanoramaError
from panollava_geometry.cli import (
    EyeOption,
    HFovOption,
    PartialOption,
    WholeSphereOption,
    echo,
    error_line,
    load_options,
)

from panollava_hf import _console
from panollava_hf._errors import PanoLLaVaError, UsageError
from panollava_hf._shown import shortened
from panollava_hf.cli import _model_options
from panollava_hf.cli._ask import MAX_WIDTH, check_file
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
    PANOLLAVA,
    BaseUrlOption,
    BudgetOption,
    DeviceOption,
    DryRunOption,
    DTypeOption,
    JsonOption,
    LabelsOption,
    MaxNewTokensOption,
    ModelChoice,
    ModelOption,
    StrategyOption,
    SystemOption,
    TimeoutOption,
    ViewSizeOption,
)
from panollava_hf.cli._printing import (
    Streamed,
    answer_fields,
    echo_json,
    is_terminal,
    print_cost,
    print_notes,
    shown_source,
)
from panollava_hf.jobs._summary import UNKNOWN

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer

#: A direction, or "" for the whole panorama, and its caption, or why there is none.
Caption = tuple[str, "Answer | Exception"]


def caption(
    panoramas: Annotated[
        list[str],
        typer.Argument(
            metavar="PANORAMA",
            help="Panoramas: image files, or http(s) URLs. With --output: a folder, table (CSV, JSONL, Parquet), list "
            "of paths, WebDataset shards (.tar) or dataset of the Hub (owner/name).",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Describe many panoramas, with the captions in a file .jsonl or .parquet, or a folder for Parquet "
            "files.",
        ),
    ] = None,
    per_view: Annotated[
        bool, typer.Option("--per-view", help="One caption for each view, with the direction it looks in.")
    ] = False,
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="Another request than the usual one.")] = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    strategy: StrategyOption = None,
    view_size: ViewSizeOption = None,
    labels: LabelsOption = None,
    system: SystemOption = None,
    budget: BudgetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    max_new_tokens: MaxNewTokensOption = 256,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    timeout: TimeoutOption = None,
    concurrency: ConcurrencyOption = None,
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
) -> int:
    """Describe 360° panoramas.

    If there are several, each caption follows the name of its file. If one fails, the others are described and the exit
    code is 2. With --json, each caption has one line. There is no caption of an image that the model does not know, and
    the exit code is 3.

    With --output, the panoramas of a source are described into a file. A panorama without a caption has the reason in
    the column `error`; the exit code is then 1. A command that was stopped goes on if it is run again.
    """
    if prompt is not None and not prompt.strip():
        raise UsageError("--prompt is empty; write what the caption should say, or leave it out")
    of_jobs = {
        "--concurrency": concurrency is not None,
        "--engine": engine != "local",
        "--workers": workers is not None,
        "--batch-size": batch_size is not None,
        "--limit": limit is not None,
        "--no-resume": not resume,
        "--retry-errors": retry_errors,
        "--split": split is not None,
        "--column": bool(columns),
        "--private-redirects": private_redirects,
    }
    if output is not None:
        jobs = JobOptions(engine, workers, batch_size, limit, resume, retry_errors)
        chosen = ModelChoice(model, base_url, strategy, view_size, labels, device, dtype, system, timeout)
        reading = load_options(hfov, partial, eye, whole_sphere)
        many = AskingOptions(
            output,
            chosen,
            jobs,
            max_new_tokens,
            concurrency,
            budget,
            dry_run,
            as_json,
            reading,
            private_redirects,
        ).check()
        _check_per_view(many.choice, per_view)
        _caption_many(panoramas, many, split, columns, per_view=per_view, prompt=prompt)
        return 0
    needless = [option for option, given in of_jobs.items() if given]
    if needless:
        raise UsageError(f"{needless[0]} is for many panoramas; name the file of captions with --output")
    for panorama in panoramas:
        check_file(panorama)
    choice = _model_options.check(
        ModelChoice(model, base_url, strategy, view_size, labels, device, dtype, system, timeout)
    )
    _check_per_view(choice, per_view)
    most = _model_options.read_budget(budget)
    from panollava_geometry import load_equirectangular

    options = load_options(hfov, partial, eye, whole_sphere)
    request: dict[str, Any] = {"per_view": per_view, "prompt": prompt, "max_new_tokens": max_new_tokens}
    answerer: Answerer | None = None
    errors: list[Exception] = []
    unknown = False
    for panorama in panoramas:
        started = time.perf_counter()
        stream: Streamed | None = None
        captions: list[Caption]
        try:
            with _console.status("Reading the panorama …"):
                image = load_equirectangular(panorama, max_width=MAX_WIDTH, **options)
        except PanoramaError as error:
            captions = [("", error)]
        else:
            answerer = answerer or _model_options.load(choice, weights=not dry_run)
            if dry_run:
                cost = answerer.caption_cost(image, **request)
                print_cost(cost, as_json=as_json, panorama=shown_source(panorama))
                continue
            with _console.status("Describing …") as spinner:
                if len(panoramas) == 1 and not per_view and not as_json and is_terminal(sys.stdout):
                    stream = Streamed(getattr(spinner, "stop", lambda: None))
                captions = _captions(answerer, image, stream, budget=most, **request)
        errors += [found for _, found in captions if isinstance(found, Exception)]
        unknown = unknown or any(not isinstance(found, Exception) and bool(found.unknown) for _, found in captions)
        seconds = round(time.perf_counter() - started, 3)
        if as_json:
            _print_json(answerer, panorama, captions, seconds)
        else:
            _print_text(panorama if len(panoramas) > 1 else "", captions, stream)
    if errors and len(panoramas) == len(captions) == 1:
        raise errors[0]
    if errors:
        first = f"; the first error: {errors[0]}" if as_json else ""  # without --json, each error is printed
        raise UsageError(f"{len(errors)} caption{' is' if len(errors) == 1 else 's are'} missing{first}")
    return UNKNOWN if unknown else 0


def _check_per_view(choice: ModelChoice, per_view: bool) -> None:
    """Check that a model can be shown each view alone, if that is wanted.

    Raises:
        UsageError: It cannot.
    """
    if per_view and choice.strategy not in (None, "views"):
        raise UsageError(f"--strategy {choice.strategy}: with --per-view each view is shown alone; remove --strategy")
    if per_view and choice.kind == PANOLLAVA:
        raise UsageError(
            f"--per-view does not work with {shortened(str(choice.model), 200)}: a PanoLLaVA checkpoint sees all views "
            "at once; remove --per-view, or use another model"
        )


def _caption_many(
    sources: list[str], options: AskingOptions, split: str | None, columns: list[str] | None, **request: Any
) -> None:
    """Captions of the panoramas of a source, in a file.

    Raises:
        UsageError: There are several sources.
    """
    if len(sources) > 1:
        raise UsageError(
            f"--output describes the panoramas of one source, got {len(sources)}; name their folder, or a list of "
            "their paths in a file .txt"
        )
    rows = open_rows(sources[0], split, columns, options.job.limit)
    from panollava_hf.jobs import PanoramaCaptioner

    run_asking(PanoramaCaptioner(options.choice.model, **request, **options.of_job()), rows, options)


def _captions(
    answerer: "Answerer", image: Any, stream: Streamed | None, *, per_view: bool, **options: Any
) -> "list[Caption]":
    """The caption of the whole panorama, or those of its views with their directions."""
    from panollava_hf.asking._directions import label

    try:
        if not per_view:
            return [("", answerer.caption(image, on_text=stream, **options))]
        found = answerer.caption(image, per_view=True, **options)
    except PanoLLaVaError as error:
        return [("", error)]
    return [(label(view), caption) for view, caption in zip(answerer.look.plan, found, strict=True)]


def _print_text(panorama: str, captions: "list[Caption]", stream: Streamed | None) -> None:
    """Captions with what they are about before them; errors go to stderr."""
    for direction, found in captions:
        head = ": ".join(part for part in (shown_source(panorama) if panorama else "", direction) if part)
        if isinstance(found, Exception):
            if head:  # the only caption's error is raised
                echo(error_line(f"{head}: {str(found).removeprefix(f'{panorama}: ')}"), err=True)
            continue
        if found.unknown:
            pass  # the note says why
        elif stream is not None:
            stream.end(found.text)
        else:
            echo(f"{head}: {found.text}" if head else found.text)
        print_notes(found, f"{head}: " if head else "")


def _print_json(answerer: "Answerer | None", panorama: str, captions: "list[Caption]", seconds: float) -> None:
    for direction, found in captions:
        head = {"panorama": shown_source(panorama)} | ({"direction": direction} if direction else {})
        if isinstance(found, Exception) or answerer is None:
            body: dict[str, Any] = {"error": str(found)}
        else:
            fields = answer_fields(answerer, found)
            body = {"caption": fields.pop("answer")} | fields
            print_notes(found)
        echo_json(head | body | {"seconds": seconds})
