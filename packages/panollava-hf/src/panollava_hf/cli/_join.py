"""`panollava join`: two pretrained towers and a fresh connector → a checkpoint folder."""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from panollava_hf._errors import UsageError
from panollava_hf.cli._usage import usage_errors

stderr = Console(stderr=True, highlight=False)


def join(
    output: Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")],
    vision: Annotated[str, typer.Option(help="Vision tower: folder or Hub id.")],
    text: Annotated[str, typer.Option(help="Causal language model: folder or Hub id.")],
    resampler: Annotated[str, typer.Option(help="Resampler type.")] = "mlp",
    latent_dimension: Annotated[int, typer.Option(min=1, help="Width of the latent tokens.")] = 768,
    view_size: Annotated[int | None, typer.Option(min=1, help="Pixels per view; default: the tower's own.")] = None,
) -> None:
    """Join two pretrained towers with an untrained connector, ready for training."""
    if output.exists():
        raise UsageError(f"{output} exists already: name a new folder")
    with usage_errors("cannot join the towers", OSError, ValueError), stderr.status("Joining the towers …"):
        save_joined(
            output, vision, text, view_size=view_size, resampler_type=resampler, latent_dimension=latent_dimension
        )
    stderr.print(f"Wrote {output}/. Its connector is untrained.", soft_wrap=True)


def save_joined(output: Path, vision: str, text: str, **settings: Any) -> None:
    """Join two towers and save model and processor into a new folder, which appears whole or not at all."""
    from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
    from panollava_hf.processing_panollava import PanoLLaVaProcessor

    model = PanoLLaVaForConditionalGeneration.from_towers(vision, text, **settings)
    processor = PanoLLaVaProcessor.from_towers(vision, text, model.config)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
        folder = Path(scratch) / "checkpoint"
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        os.replace(folder, output)
