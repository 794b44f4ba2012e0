"""`panollava join`: two pretrained towers and an untrained connector → a checkpoint folder."""

from pathlib import Path
from typing import Annotated, Any

import typer

from panollava_hf import _console
from panollava_hf._files import require_new, staged_folder
from panollava_hf.cli._usage import check_tower, usage_errors

#: Fields of the config that have an option.
_OPTIONS = {
    "resampler_type": "--resampler",
    "num_latent_tokens": "--num-latent-tokens",
    "view_size": "--view-size",
}


def join(
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write; it must not exist yet.")],
    vision: Annotated[str, typer.Option(metavar="MODEL", help="Vision tower: folder or Hub id.")],
    text: Annotated[str, typer.Option(metavar="MODEL", help="Causal language model: folder or Hub id.")],
    resampler: Annotated[str, typer.Option(metavar="TYPE", help="Resampler type.")] = "mlp",
    latent_dimension: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Width of the latent tokens.")] = 768,
    latent_tokens: Annotated[
        int | None,
        typer.Option(
            "--num-latent-tokens",
            min=1,
            metavar="NUMBER",
            help="Tokens per view, if the resampler chooses; default: 64.",
        ),
    ] = None,
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
        from panollava_hf._image_tokens import fewer_image_tokens, image_tokens
        from panollava_hf._quiet import without_noise
        from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
        from panollava_hf.processing_panollava import PanoLLaVaProcessor

        settings: dict[str, Any] = {"resampler_type": resampler, "latent_dimension": latent_dimension}
        settings |= {} if latent_tokens is None else {"num_latent_tokens": latent_tokens}
        with without_noise():
            model = PanoLLaVaForConditionalGeneration.from_towers(vision, text, view_size=view_size, **settings)
            processor = PanoLLaVaProcessor.from_towers(vision, text, model.config)
            with staged_folder(output) as folder:
                model.save_pretrained(folder)
                processor.save_pretrained(folder)
    _console.say(f"{image_tokens(model.config)} ({fewer_image_tokens(model.config, _OPTIONS)}).")
    _console.say(f"Wrote {output}/. Its connector is untrained.")
