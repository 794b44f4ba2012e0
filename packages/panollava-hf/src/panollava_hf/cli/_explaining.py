"""`panollava ask --explain OUT.png`: images of the evidence for answers."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panollava_geometry.cli import printable

from panollava_hf import _console
from panollava_hf._errors import PanoLLaVaError, UsageError
from panollava_hf._files import check_writable, write_whole
from panollava_hf.cli._model_options import check_name
from panollava_hf.cli._usage import usage_errors

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer, Cost
    from panollava_hf.asking._panorama import Panorama
    from panollava_hf.evidence import Evidence

#: Names of the methods; the methods themselves import torch.
METHODS = ("gradient", "occlusion", "views")
#: Endings of image files, and Pillow's names of their formats.
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def check_explain(path: Path | None, method: str | None, questions: int) -> None:
    """Check the options before anything is loaded.

    Raises:
        UsageError: The file cannot be written, is not an image file by its name, or the method is unknown.
    """
    check_name("--explain-method", method, METHODS)
    if path is None:
        if method is not None:
            raise UsageError(f"--explain-method {method} needs an image to write; add --explain OUT.png")
        return
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--explain {path}: the name must end in {', '.join(SUFFIXES)}")
    for number in range(questions):
        if file_of(path, number, questions).is_dir():
            raise UsageError(f"--explain {file_of(path, number, questions)}: this is a folder; name an image file")
    check_writable(path.parent, "--explain")


def file_of(path: Path, number: int, questions: int) -> Path:
    """The file of one question, counted from 0: `OUT.png`, or `OUT-1.png` … for several."""
    return path if questions == 1 else path.with_name(f"{path.stem}-{number + 1}{path.suffix}")


def cost_with_evidence(
    cost: "Cost",
    answerer: "Answerer",
    panorama: "Panorama",
    questions: Sequence[str],
    *,
    method: str | None,
    max_new_tokens: int,
) -> "Cost":
    """The cost of answers and of the evidence for them."""
    from panollava_hf.evidence import explain_cost

    more = explain_cost(answerer, panorama, questions, method=method, max_new_tokens=max_new_tokens)
    each = tuple(own + other for own, other in zip(cost.questions, more.questions, strict=True))
    return replace(cost, questions=each, steps={**cost.steps, **more.steps})


def explain_each(
    answerer: "Answerer",
    panorama: "Panorama",
    questions: Sequence[str],
    found: "Sequence[Answer | PanoLLaVaError]",
    path: Path,
    *,
    method: str | None,
    max_new_tokens: int,
) -> list[dict[str, Any]]:
    """Write an image for each answer; none where the model reported that it does not know something.

    Returns:
        For each question what the JSON report says about its evidence; an error where there is no image.
    """
    return [
        {}
        if isinstance(answer, PanoLLaVaError) or answer.unknown
        else _explained(
            answerer,
            panorama,
            (question, answer.text),
            file_of(path, number, len(found)),
            method=method,
            max_new_tokens=max_new_tokens,
        )
        for number, (question, answer) in enumerate(zip(questions, found, strict=True))
    ]


def raise_unexplained(reports: Sequence[dict[str, Any]]) -> None:
    """Raise the first error of evidence that could not be found or written.

    Raises:
        UsageError: There is one.
    """
    errors = [str(report["error"]) for report in reports if "error" in report]
    if errors:
        more = f"; {len(errors)} of {len(reports)} images are missing" if len(reports) > 1 else ""
        raise UsageError(f"--explain: {errors[0]}{more}")


def _explained(
    answerer: "Answerer", panorama: "Panorama", asked: tuple[str, str], file: Path, **options: Any
) -> dict[str, Any]:
    """Write one image; what the JSON report says about it."""
    from panollava_hf.evidence import explain

    try:
        with _console.status("Looking for the evidence …"):
            evidence = explain(answerer, panorama, *asked, **options)
        _write(evidence, file)
    except PanoLLaVaError as error:
        return {"error": str(error)}
    if evidence.note:
        _console.note(f"{evidence.note}.")
    yaw, pitch = (None, None) if evidence.is_even else (round(angle, 1) for angle in evidence.peak)
    return {
        "path": printable(str(file)),
        "method": evidence.method,
        "yaw_deg": yaw,
        "pitch_deg": pitch,
        "calls": evidence.calls,
        "seconds": round(evidence.seconds, 3),
        "note": evidence.note,
    }


def _write(evidence: "Evidence", file: Path) -> None:
    stream = io.BytesIO()
    evidence.draw().save(stream, SUFFIXES[file.suffix.lower()], quality=92)
    with usage_errors(f"--explain {file}", OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, stream.getvalue())
    _console.say(f"Wrote {file} (evidence: {evidence.method_name}, {evidence.seconds:.1f} s)")
