"""`panollava export FOLDER`: a checkpoint → a folder that anyone with transformers alone can load."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from panollava_hf._errors import UsageError
from panollava_hf.cli._usage import usage_errors

stderr = Console(stderr=True, highlight=False)


def export(
    output: Annotated[Path, typer.Argument(help="Folder to write; it appears whole or not at all.")],
    model: Annotated[
        str | None, typer.Option(help="Checkpoint folder or Hub id; default: the embedded checkpoint.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hub.")] = None,
    model_id: Annotated[
        str | None, typer.Option("--repo-id", help="Name in the model card's example; `panollava push` sets it too.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="Licence of the weights, as the Hub spells it.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Hub id of training data, for the card; repeatable.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="results.json of an evaluation, or a JSON list of results, for the card.")
    ] = None,
) -> None:
    """Write a self-contained folder: code, weights, processor and model card."""
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UsageError(f"{output} exists already: name a new folder")
    with stderr.status("Exporting …"):
        from transformers.utils import logging

        from panollava_hf.asking import default_checkpoint
        from panollava_hf.hub._card import CardFacts
        from panollava_hf.hub._export import export_checkpoint
        from panollava_hf.hub._results import read_results

        logging.disable_progress_bar()
        with usage_errors(f"--results {results}", OSError, ValueError):
            facts = CardFacts(
                model_id=model_id or output.absolute().name,
                license=licence or ("mit" if model is None else None),
                datasets=tuple(dataset or ()),
                results=read_results(results) if results else (),
            )
        with usage_errors(f"cannot export {model or 'the embedded checkpoint'}", OSError, ValueError):
            export_checkpoint(model or default_checkpoint(), output, facts=facts, **_given(revision=revision))
    files = list(output.iterdir())
    size = sum(file.stat().st_size for file in files) / 1e6
    stderr.print(f"Wrote {output}/: {len(files)} files, {size:.1f} MB.", soft_wrap=True)


def _given(**options: str | None) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}
