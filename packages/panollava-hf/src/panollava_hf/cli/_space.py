"""`panollava space DIR`."""

from pathlib import Path
from typing import Annotated

import typer

from panollava_hf import _console
from panollava_hf._errors import UsageError
from panollava_hf._shown import shortened
from panollava_hf.cli._usage import check_model, usage_errors


def space(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write: a new or empty one, or a Space of this command.")
    ],
    model: Annotated[
        str,
        typer.Option("--model", metavar="MODEL", help="Hub id of the model that answers; default: embedded."),
    ] = "embedded",
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="Title of the Space.")] = "PanoLLaVA",
    hardware: Annotated[
        str | None,
        typer.Option(
            "--hardware",
            metavar="NAME",
            help="Hardware that the Space suggests, as the Hub spells it; default: cpu-basic for embedded, else "
            "t4-small.",
        ),
    ] = None,
) -> None:
    """Write a folder that is a Space of the Hub: the page of `panollava demo` with a model and samples.

    `panollava push DIR OWNER/NAME --space` uploads it.
    """
    from panollava_hf._files import check_writable
    from panollava_hf.demo._space import check_space, write_space
    from panollava_hf.demo._space_texts import EMBEDDED, HARDWARE, MAX_TITLE, SpaceFacts

    title = title.strip()
    if not title or len(title) > MAX_TITLE or not title.isprintable():
        raise UsageError(f"--title {shortened(title, 80)!r}: expected 1 to {MAX_TITLE} printable characters")
    if hardware is not None and hardware not in HARDWARE:
        raise UsageError(f"--hardware {shortened(hardware, 80)}: expected one of {', '.join(HARDWARE)}")
    check_space(folder)
    check_writable(folder)
    if model != EMBEDDED:
        if Path(model).is_dir():
            raise UsageError(
                f"--model {shortened(model, 200)}: a Space cannot read folders of this machine; upload it with "
                "`panollava export` and `panollava push`, and pass OWNER/NAME"
            )
        check_model(model)
    with _console.status("Writing the Space …"), usage_errors(f"cannot write {folder}", OSError):
        files = write_space(folder, SpaceFacts(model, title, hardware))
    size = sum((folder / name).stat().st_size for name in files) / 1e6
    _console.say(
        f"Wrote {folder}/: {len(files)} files, {size:.1f} MB. Next: panollava push {folder} OWNER/NAME --space"
    )
