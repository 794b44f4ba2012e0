"""`panollava join`: two pretrained towers and an untrained connector → a checkpoint folder."""

from pathlib import Path
from typing import Annotated

import typer

from panollava_hf import _console
from panollava_hf._files import require_new, staged_folder
from panollava_hf.cli._usage import check_tower, usage_errors


def join(
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write; it must not exist yet.")],
    vision: Annotated[str, typer.Option(metavar="MODEL", help="Vision tower: folder or Hub id.")],
    text: Annotated[str, typer.Option(metavar="MODEL", help="Causal language model: folder or Hub id.")],
    resampler: Annotated[str, typer.Option(metavar="TYPE", help="Resampler type.")] = "mlp",
    latent_dimension: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Width of the latent tokens.")] = 768,
    view_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="Pixels per view; default: the vision tower's image size."),
    ] = None,
) -> None:
    """Join two pretrained towers with an untrained connector, ready for training."""
    require_new(output)
    check_tower("vision", vision)
    check_tower("text", text)
    with usage_errors("cannot join the towers", OSError, ValueError), _console.status("Joining the towers …"):
        from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
        from panollava_hf.processing_panollava import PanoLLaVaProcessor

        model = PanoLLaVaForConditionalGeneration.from_towers(
            vision, text, view_size=view_size, resampler_type=resampler, latent_dimension=latent_dimension
        )
        processor = PanoLLaVaProcessor.from_towers(vision, text, model.config)
        with staged_folder(output) as folder:
            model.save_pretrained(folder)
            processor.save_pretrained(folder)
    _console.say(f"Wrote {output}/. Its connector is untrained.")
