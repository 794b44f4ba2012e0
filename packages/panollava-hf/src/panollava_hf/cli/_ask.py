"""`panollava ask PANORAMA QUESTION`."""

import json
import os
import sys
import time
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
from panollava_hf._errors import UsageError
from panollava_hf._files import check_writable
from panollava_hf.cli._usage import check_model, load, usage_errors

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer

_MAX_WIDTH = 16_384


def ask(
    panorama: Annotated[str, typer.Argument(help="A panorama: an image file, or an http(s) URL.")],
    question: Annotated[str, typer.Argument(help="The question.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Checkpoint folder or Hub id; default: the embedded checkpoint."),
    ] = None,
    save_views: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for the views that the model received, and a contact sheet."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of the answer alone.")] = False,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="Maximum length of the answer, in tokens.")
    ] = 64,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Device of the model: cpu, cuda, cuda:1, mps …")
    ] = "cpu",
    hfov: HFovOption = None,
    partial: PartialOption = False,
    eye: EyeOption = None,
    whole_sphere: WholeSphereOption = False,
) -> None:
    """Answer a question about a 360° panorama."""
    started = time.perf_counter()
    if not question.strip():
        raise UsageError("the question is empty; write what you want to know")
    check_model(model)
    _check_file(panorama)
    if save_views is not None:
        check_writable(save_views, "--save-views")
    with _console.status("Loading the model …"):
        from panollava_geometry import load_equirectangular
        from panollava_geometry.addresses import is_address, source_name

        options = load_options(hfov, partial, eye, whole_sphere)
        # Before the model, which may take minutes. No view of a model needs more than this width; it bounds the sphere
        # around a strip with a small field of view.
        image = load_equirectangular(panorama, max_width=_MAX_WIDTH, **options)
        answerer = load(model, device)
    with _console.status("Answering …"):
        answer = answerer.answer(image, question, max_new_tokens=max_new_tokens)
    _print_notes(answerer, answer, embedded=model is None)
    written: list[str] = []
    try:
        if save_views is not None:
            written = _write_views(answer, save_views)
    finally:  # an answer that was found is printed, also if its views cannot be saved
        if not as_json:
            echo(answer.text)
        else:
            _echo_json(
                {
                    "panorama": source_name(panorama) if is_address(panorama) else printable(panorama),
                    "question": question,
                    "answer": answer.text,
                    "model": answerer.name,
                    "trained": answerer.trained,
                    "views": answer.plan.to_dict()["views"],
                    "image_tokens": answer.image_tokens,
                    "new_tokens": answer.new_tokens,
                    "seconds": round(time.perf_counter() - started, 3),
                    "saved": [printable(path) for path in written],
                }
            )


def _echo_json(report: dict[str, Any]) -> None:
    """Print a JSON object on one line, with escapes where a character cannot be printed."""
    text = json.dumps(report, ensure_ascii=False)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if printable(text).encode(encoding, "replace").decode(encoding) != text:
        text = json.dumps(report).replace("\x7f", "\\u007f")
    echo(text)


def _check_file(panorama: str) -> None:
    """Report a missing file before torch is imported; URLs and anything unusual are left to the reader."""
    is_url = "://" in panorama or panorama.lower().startswith(("http:", "https:", "data:"))
    if not is_url and not os.path.exists(panorama):
        raise UsageError(f"{panorama if panorama.strip() else repr(panorama)}: no such file")


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
