"""`panollava ask PANORAMA QUESTION`."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from panollava_geometry import load_equirectangular
from rich.console import Console

from panollava_hf._errors import UsageError
from panollava_hf.cli._loading import load
from panollava_hf.cli._usage import usage_errors

stderr = Console(stderr=True, highlight=False)


def ask(
    panorama: Annotated[str, typer.Argument(help="Equirectangular photograph: JPEG, PNG or WebP, a path or URL.")],
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    model: Annotated[
        str | None, typer.Option(help="Checkpoint folder or Hub id; default: the embedded checkpoint.")
    ] = None,
    save_views: Annotated[
        Path | None, typer.Option(help="Folder for the views the model looked at, and a contact sheet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the bare answer.")] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 64,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, cuda, cuda:1, mps …")] = "cpu",
) -> None:
    """Answer a question about a 360° panorama."""
    started = time.perf_counter()
    if not question.strip():
        raise UsageError("the question is empty: write what you want to know")
    if save_views is not None and save_views.exists() and not save_views.is_dir():
        raise UsageError(f"--save-views {save_views}: this is a file; name a folder")
    image = load_equirectangular(panorama)  # told before minutes of loading, if it cannot be read
    with stderr.status("Loading the model …"):
        answerer = load(model, device)
    with stderr.status("Looking and answering …"):
        answer = answerer.answer(image, question, max_new_tokens=max_new_tokens)
    if not answer.text:
        stderr.print("[yellow]Note:[/yellow] the model ended its answer at once.", soft_wrap=True)
    if model is None:
        stderr.print(
            "[yellow]Note:[/yellow] the embedded checkpoint has seen nothing but PanoShapes, pictures of coloured "
            "solids; for photographs name another with --model.",
            soft_wrap=True,
        )
    if not answerer.trained:
        stderr.print(
            "[yellow]Note:[/yellow] the connector of this checkpoint is untrained: the text is no grounded answer.",
            soft_wrap=True,
        )
    written: list[str] = []
    if save_views is not None:
        from panollava_hf._contact_sheet import save_views as write_views

        with usage_errors(f"--save-views {save_views}", OSError):
            written = [str(path) for path in write_views(answer.views, answer.plan, save_views)]
        stderr.print(f"Wrote {len(written)} pictures to {save_views}/", soft_wrap=True)
    if as_json:
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
    else:
        typer.echo(answer.text)
