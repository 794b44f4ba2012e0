"""`panollava ask PANORAMA QUESTION …`; without a question, a chat."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.cli import (
    EyeOption,
    HFovOption,
    PartialOption,
    WholeSphereOption,
    echo,
    load_options,
    printable,
)

from panollava_hf import _console
from panollava_hf._errors import PanoLLaVaError, UsageError
from panollava_hf._files import check_writable
from panollava_hf.cli import _model_options
from panollava_hf.cli._explaining import METHODS, check_explain, cost_with_evidence, explain_each, raise_unexplained
from panollava_hf.cli._model_options import (
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
from panollava_hf.cli._questions import answer_each, read_questions
from panollava_hf.cli._usage import check_order, usage_errors
from panollava_hf.jobs._summary import UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.asking import Answer

#: No view of a model needs a wider panorama; it bounds the sphere around a strip with a small field of view.
MAX_WIDTH = 16_384


def ask(
    panorama: Annotated[str, typer.Argument(help="A panorama: an image file, or an http(s) URL.")],
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION",
            help='The questions; "-" reads them from standard input, one per line. Without one, a terminal starts a '
            "chat.",
        ),
    ] = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    strategy: StrategyOption = None,
    view_size: ViewSizeOption = None,
    labels: LabelsOption = None,
    system: SystemOption = None,
    save_views: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the views that the model received with the question, and a contact sheet; a subfolder "
            "for each question where they differ.",
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.png",
            help="Image of the panorama with the parts that the answer rests on; OUT-1.png … for several questions.",
        ),
    ] = None,
    explain_method: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(METHODS),
            help="How these parts are found: by integrated gradients or by blurring parts of the panorama (PanoLLaVA "
            "checkpoints), or by asking again without each view (all models). Default: gradient where possible, else "
            "views.",
        ),
    ] = None,
    budget: BudgetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    max_new_tokens: MaxNewTokensOption = 256,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    timeout: TimeoutOption = None,
    hfov: HFovOption = None,
    partial: PartialOption = False,
    eye: EyeOption = None,
    whole_sphere: WholeSphereOption = False,
) -> int:
    """Answer questions about a 360° panorama.

    Several questions are answered in one run. If one of them fails, the others are answered and the exit code is 2. It
    is 3 if a model with a small vocabulary does not know a word of a question, or was trained on other images only.
    With --json, each question has one line; "seconds" is the time until all answers were found.
    """
    started = time.perf_counter()
    asked = read_questions(questions or ())
    outputs = (save_views, budget, explain, explain_method)
    if not asked and (as_json or dry_run or any(value is not None for value in outputs)):
        raise UsageError(
            "--json, --dry-run, --budget, --save-views and --explain need a question; write it after the panorama"
        )
    check_order(panorama, asked, "panollava ask PANORAMA QUESTION")
    check_file(panorama)
    if save_views is not None:
        check_writable(save_views, "--save-views")
    check_explain(explain, explain_method, len(asked))
    choice = _model_options.check(
        ModelChoice(model, base_url, strategy, view_size, labels, device, dtype, system, timeout)
    )
    most = _model_options.read_budget(budget)
    with _console.status("Reading the panorama …"):
        from panollava_geometry import load_equirectangular

        options = load_options(hfov, partial, eye, whole_sphere)
        image = load_equirectangular(panorama, max_width=MAX_WIDTH, **options)  # before the model, which may take long
    answerer = _model_options.load(choice, weights=not dry_run)
    prepared = answerer.prepare(image)
    if not asked:
        from panollava_hf.cli._chat import chat

        chat(answerer, prepared, max_new_tokens=max_new_tokens)
        return 0
    how: dict[str, Any] = {"method": explain_method, "max_new_tokens": max_new_tokens}
    if dry_run or (explain is not None and most is not None):
        cost = answerer.cost(prepared, asked, max_new_tokens=max_new_tokens)
        cost = cost if explain is None else cost_with_evidence(cost, answerer, prepared, asked, **how)
        if dry_run:
            print_cost(cost, as_json=as_json)
            return 0
        if most is not None:
            most.check(cost)
    with _console.status("Answering …") as spinner:
        live = len(asked) == 1 and not as_json and is_terminal(sys.stdout)
        stream = Streamed(getattr(spinner, "stop", lambda: None)) if live else None
        found = answer_each(answerer, prepared, asked, max_new_tokens=max_new_tokens, budget=most, on_text=stream)
    seconds = round(time.perf_counter() - started, 3)
    for number, answer in enumerate(found, 1):
        which = f"question {number}: " if len(found) > 1 else ""
        if not isinstance(answer, PanoLLaVaError):
            print_notes(answer, which)
    written: list[list[str]] = [[] for _ in found]
    evidence: list[dict[str, Any]] = [{} for _ in found]
    try:
        if explain is not None and as_json:
            evidence = explain_each(answerer, prepared, asked, found, explain, **how)
        if save_views is not None:
            written = _write_views(found, save_views, prepared.image, asked)
    finally:  # answers that were found are printed, also if their views cannot be saved
        if as_json:
            for question, answer, files, report in zip(asked, found, written, evidence, strict=True):
                head = {"panorama": shown_source(panorama), "question": question}
                body = {"error": str(answer)} if isinstance(answer, PanoLLaVaError) else answer_fields(answerer, answer)
                more = {"evidence": report} if report else {}
                echo_json(head | body | {"seconds": seconds, "saved": files} | more)
        else:
            _print_text(asked, found, stream)
    if explain is not None and not as_json:  # after the answers, which need not wait
        evidence = explain_each(answerer, prepared, asked, found, explain, **how)
    _raise_failed(found)
    raise_unexplained(evidence)
    return UNKNOWN if any(not isinstance(answer, PanoLLaVaError) and answer.unknown for answer in found) else 0


def check_file(panorama: str) -> None:
    """Report a missing file before torch is imported; URLs and anything unusual are left to the reader.

    Raises:
        UsageError: There is no such file.
    """
    is_url = "://" in panorama or panorama.lower().startswith(("http:", "https:", "data:"))
    if not is_url and not os.path.exists(panorama):
        raise UsageError(f"{panorama if panorama.strip() else repr(panorama)}: no such file")


def _print_text(questions: list[str], found: "list[Answer | PanoLLaVaError]", stream: Streamed | None) -> None:
    """The answer alone for one question; for several, each question before its answer."""
    if len(questions) == 1:
        (answer,) = found
        if isinstance(answer, PanoLLaVaError) or answer.unknown:
            return
        if stream is None:
            echo(answer.text)
        else:
            stream.end(answer.text)
        return
    texts = []
    for question, answer in zip(questions, found, strict=True):
        texts.append(f"Q: {question}\n{_line(answer)}")
    echo("\n\n".join(texts))


def _line(answer: "Answer | PanoLLaVaError") -> str:
    if isinstance(answer, PanoLLaVaError):
        return f"Error: {answer}"
    return f"Unknown: {answer.unknown}" if answer.unknown else f"A: {answer.text}"


def _raise_failed(found: "list[Answer | PanoLLaVaError]") -> None:
    """Raise what failed, in one line."""
    failed = [answer for answer in found if isinstance(answer, PanoLLaVaError)]
    if failed and len(found) == 1:
        raise failed[0]
    if failed:
        raise UsageError(f"{len(failed)} of {len(found)} questions have no answer; the first error: {failed[0]}")


def _write_views(
    found: "list[Answer | PanoLLaVaError]", folder: Path, panorama: "Tensor", questions: list[str]
) -> list[list[str]]:
    """Save the views of the answers; in subfolders if they differ."""
    import torch

    from panollava_hf._contact_sheet import save_views

    def save(answers: "Sequence[tuple[int, Answer]]", place: Path) -> list[str]:
        texts = [(questions[number], answer.unknown or answer.text) for number, answer in answers]
        plan, views = answers[0][1].plan, answers[0][1].views
        return [printable(str(path)) for path in save_views(views, plan, place, panorama=panorama, answers=texts)]

    answers = [(number, answer) for number, answer in enumerate(found) if not isinstance(answer, PanoLLaVaError)]
    written: list[list[str]] = [[] for _ in found]
    if not answers:
        return written
    first: Any = answers[0][1]
    same = all(answer.plan == first.plan and torch.equal(answer.views, first.views) for _, answer in answers)
    with usage_errors(f"--save-views {folder}", OSError):
        if same:
            files = save(answers, folder)
            written = [[] if isinstance(answer, PanoLLaVaError) else files for answer in found]
        for number, answer in () if same else answers:
            place = folder / f"question_{number + 1:02d}"
            written[number] = save([(number, answer)], place)
    total = len({name for files in written for name in files})
    _console.say(f"Wrote {total} images to {folder}/")
    return written
