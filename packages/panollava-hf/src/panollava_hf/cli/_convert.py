"""`panollava convert`: a Lightning checkpoint of the original code → a Transformers folder."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from panollava_hf._console import note, progress, say
from panollava_hf._errors import PushError, UsageError
from panollava_hf._shown import counted
from panollava_hf.cli._usage import usage_errors


class ModelType(enum.StrEnum):
    """Types of models that a checkpoint can be converted to."""

    VICREG = "vicreg"
    CONDITIONAL_GENERATION = "conditional-generation"
    FEATURE_EXTRACTION = "feature-extraction"


class DType(enum.StrEnum):
    """Types of written weights."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def convert(
    lightning_ckpt: Annotated[
        Path, typer.Option(metavar="FILE", help="Checkpoint of the original code (runs/…/last.ckpt).")
    ],
    output_dir: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write; it must not exist yet.")],
    model_type: Annotated[ModelType, typer.Option(help="Type of the new model.")] = ModelType.CONDITIONAL_GENERATION,
    model_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The run's model config, JSON or YAML; default: the one next to the checkpoint."
        ),
    ] = None,
    vision_tower: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Vision tower, a folder or Hub id; default: as the run named it."),
    ] = None,
    text_tower: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Language model, a folder or Hub id; default: as the run named it."),
    ] = None,
    merge_lora: Annotated[
        bool, typer.Option("--merge-lora", help="Merge LoRA into the weights; default: keep it in adapter/.")
    ] = False,
    dtype: Annotated[DType | None, typer.Option(help="Type of the written weights; default: as stored.")] = None,
    allow_missing: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Keys that may be missing or unexpected (shell pattern; repeatable)."),
    ] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="REPO", help="Also upload the folder to this Hub repository (private if new).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and write nothing.")] = False,
    all_keys: Annotated[
        bool, typer.Option("--all-keys", help="Print one line per key instead of one per part.")
    ] = False,
) -> None:
    """Convert a Lightning checkpoint of the original code; the new model computes the same numbers."""
    from panollava_hf._files import check_writable, require_new

    require_new(output_dir, "--output-dir")
    if not lightning_ckpt.exists():
        raise UsageError(f"cannot convert: {lightning_ckpt}: no such file")
    if not dry_run:
        check_writable(output_dir, "--output-dir")
    from transformers.utils import logging

    from panollava_hf.conversion._convert import COMMIT_MESSAGE, convert_lightning_checkpoint
    from panollava_hf.hub import plan_push, push
    from panollava_hf.hub._push import check_repository

    if push_to_hub is not None:
        with usage_errors(f"--push-to-hub {push_to_hub}", PushError):
            check_repository(push_to_hub)
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # the report says what matters
    with usage_errors("cannot convert", ValueError, OSError), progress(unit="bytes") as bar:
        task = bar.add_task("Reading", total=None)
        conversion = convert_lightning_checkpoint(
            lightning_ckpt,
            output_dir,
            model_type.value,
            model_config=model_config,
            vision_tower=vision_tower,
            text_tower=text_tower,
            merge_lora=merge_lora,
            dtype=None if dtype is None else dtype.value,
            allow_missing=allow_missing or (),
            dry_run=dry_run,
            progress=lambda written, total: bar.update(task, description="Writing", completed=written, total=total),
        )
    typer.echo("\n".join(conversion.report.lines(all_keys=all_keys)))
    for text in conversion.report.notes:
        note(text)
    if conversion.folder is None:
        say("This was a dry run: nothing was written.")
        return
    adapter = ", and the LoRA adapter in adapter/" if conversion.adapter else ""
    say(f"Wrote {conversion.folder}/ ({counted(len(conversion.files), 'weight file')}{adapter}).")
    if push_to_hub is not None:
        with usage_errors(f"--push-to-hub {push_to_hub}: the folder is written, but not uploaded", PushError):
            plan = plan_push(conversion.folder, push_to_hub, message=COMMIT_MESSAGE, exported=False)
            typer.echo(push(plan))
