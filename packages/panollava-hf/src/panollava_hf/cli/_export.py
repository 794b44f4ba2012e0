"""`panollava export FOLDER`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from panollava_hf import _console
from panollava_hf.cli._usage import check_embedder, check_panollava, usage_errors


def export(
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write; it must not exist, or be empty.")],
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Checkpoint folder or Hub id; default: the embedded checkpoint.")
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="PURPOSE",
            help="`embedding`: vectors of panoramas, for sentence-transformers; MODEL may then be a vision tower. "
            "Default: everything that the checkpoint has.",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of a model on the Hub.")
    ] = None,
    model_id: Annotated[
        str | None,
        typer.Option(
            "--repo-id",
            metavar="OWNER/NAME",
            help="Model name in the card's examples; `panollava push` fills it in too.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license", metavar="NAME", help="Licence of the weights, as the Hub spells it: apache-2.0, mit …"
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Hub id of training data, for the model card; repeatable.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Evaluation results for the model card: results.json of `panollava eval`, or a JSON list.",
        ),
    ] = None,
) -> None:
    """Export a checkpoint to a folder that loads with transformers alone: code, weights, processor and model card."""
    from panollava_hf._errors import UsageError
    from panollava_hf._files import check_writable, require_new
    from panollava_hf._shown import shortened
    from panollava_hf.asking._default_model import EMBEDDED
    from panollava_hf.hub import CardFacts, read_results

    if purpose not in (None, "embedding"):
        raise UsageError(f"--for {shortened(purpose, 80)}: unknown purpose; expected embedding, or no --for")
    require_new(output)
    check_writable(output)
    if model == EMBEDDED:
        model = None
    if model is not None and purpose == "embedding":
        check_embedder(model, revision)
    elif model is not None:
        check_panollava(model, revision)
    with usage_errors(f"--results {results}", OSError):
        facts = CardFacts(
            model_id=model_id or output.absolute().name,
            license=licence or ("mit" if model is None else None),
            datasets=tuple(dataset or ()),
            results=read_results(results) if results else (),
        )
    with (
        _console.status("Exporting …"),
        usage_errors(f"cannot export {model or 'the embedded checkpoint'}", OSError, ValueError),
    ):
        from transformers.utils import logging

        from panollava_hf.asking import default_checkpoint
        from panollava_hf.hub import export_checkpoint
        from panollava_hf.outside._model_card import stated_licence

        logging.disable_progress_bar()
        given: dict[str, Any] = {} if revision is None else {"revision": revision}
        if purpose == "embedding":
            given["purpose"] = purpose
        export_checkpoint(model or default_checkpoint(), output, facts=facts, **given)
    if purpose == "embedding" and stated_licence(output) is None:
        _console.note(f"the licence of {model} is not known; the model card names none. Pass it with --license NAME.")
    files = list(output.iterdir())
    size = sum(file.stat().st_size for file in files) / 1e6
    _console.say(f"Wrote {output}/: {len(files)} files, {size:.1f} MB.")
