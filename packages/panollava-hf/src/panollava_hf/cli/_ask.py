"""`panollava ask PANORAMA QUESTION`."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from panollava_hf import _console
from panollava_hf._errors import UsageError
from panollava_hf.cli._usage import usage_errors

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer


def ask(
    panorama: Annotated[str, typer.Argument(help="Equirectangular image: a JPEG, PNG or WebP file, or a URL.")],
    question: Annotated[str, typer.Argument(help="The question.")],
    model: Annotated[
        str | None, typer.Option(help="Checkpoint folder or Hub id; default: the embedded checkpoint.")
    ] = None,
    save_views: Annotated[
        Path | None, typer.Option(help="Folder for the views that the model received, and a contact sheet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of the answer alone.")] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum length of the answer, in tokens.")] = 64,
    device: Annotated[str, typer.Option(help="Device of the model: cpu, cuda, cuda:1, mps …")] = "cpu",
) -> None:
    """Answer a question about a 360° panorama."""
    started = time.perf_counter()
    if not question.strip():
        raise UsageError("the question is empty; write what you want to know")
    if save_views is not None and save_views.exists() and not save_views.is_dir():
        raise UsageError(f"--save-views {save_views}: this is a file, expected a folder")
    _check_file(panorama)
    with _console.status("Loading the model …"):
        from panollava_geometry import load_equirectangular

        from panollava_hf.cli._usage import load

        image = load_equirectangular(panorama)  # before the model, which may take minutes
        answerer = load(model, device)
    with _console.status("Answering …"):
        answer = answerer.answer(image, question, max_new_tokens=max_new_tokens)
    _print_notes(answerer, answer, embedded=model is None)
    written = [] if save_views is None else _write_views(answer, save_views)
    if not as_json:
        typer.echo(answer.text)
        return
    report: dict[str, Any] = {
        "panorama": panorama,
        "question": question,
        "answer": answer.text,
        "model": answerer.name,
        "trained": answerer.trained,
        "views": answer.plan.to_dict()["views"],
        "image_tokens": answer.image_tokens,
        "new_tokens": answer.new_tokens,
        "seconds": round(time.perf_counter() - started, 3),
        "saved": written,
    }
    typer.echo(json.dumps(report, ensure_ascii=False))


def _check_file(panorama: str) -> None:
    """Report a missing file before torch is imported; URLs and anything unusual are left to the reader."""
    if "://" not in panorama and not panorama.startswith("data:") and not Path(panorama).exists():
        raise UsageError(f"{panorama}: no such file")


def _print_notes(answerer: "Answerer", answer: "Answer", *, embedded: bool) -> None:
    if not answer.text:
        _console.note("the model returned an empty answer.")
    if embedded:
        _console.note(
            "the embedded checkpoint was trained on PanoShapes only, rendered panoramas of coloured solids. "
            "For photographs, pass --model."
        )
    if not answerer.trained:
        _console.note("the connector of this checkpoint is untrained; the answer is not grounded in the image.")


def _write_views(answer: "Answer", folder: Path) -> list[str]:
    from panollava_hf._contact_sheet import save_views

    with usage_errors(f"--save-views {folder}", OSError):
        written = save_views(answer.views, answer.plan, folder)
    _console.say(f"Wrote {len(written)} images to {folder}/")
    return [str(path) for path in written]
