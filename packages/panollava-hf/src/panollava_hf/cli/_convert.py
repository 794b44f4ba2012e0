"""`panollava convert`: a Lightning checkpoint of the original code → a Transformers folder."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from panollava_hf._errors import PushError, UsageError
from panollava_hf.cli._usage import usage_errors

if TYPE_CHECKING:
    from panollava_hf.conversion import Account

stderr = Console(stderr=True, highlight=False)


class ModelType(enum.StrEnum):
    """What the converted folder holds."""

    VICREG = "vicreg"
    CONDITIONAL_GENERATION = "conditional-generation"
    FEATURE_EXTRACTION = "feature-extraction"


class DType(enum.StrEnum):
    """Types of written weights."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def convert(
    lightning_ckpt: Annotated[Path, typer.Option(help="Checkpoint of the original code (runs/…/last.ckpt).")],
    output_dir: Annotated[Path, typer.Option(help="Folder to write; it must not exist yet.")],
    model_type: Annotated[ModelType, typer.Option(help="What to make of it.")] = ModelType.CONDITIONAL_GENERATION,
    model_config: Annotated[
        Path | None, typer.Option(help="The run's model config, JSON or YAML; default: the one beside the checkpoint.")
    ] = None,
    vision_tower: Annotated[
        str | None, typer.Option(help="Vision tower, a folder or Hub id; default: as the run named it.")
    ] = None,
    text_tower: Annotated[
        str | None, typer.Option(help="Language model, a folder or Hub id; default: as the run named it.")
    ] = None,
    merge_lora: Annotated[
        bool, typer.Option("--merge-lora", help="Merge LoRA into the weights; else it is kept in adapter/.")
    ] = False,
    dtype: Annotated[DType | None, typer.Option(help="Type of the written weights; default: as stored.")] = None,
    allow_missing: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Keys that may be missing or unexpected (shell pattern; repeatable)."),
    ] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="REPO", help="Upload the folder to this Hub repository too (private if new).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and write nothing.")] = False,
    all_keys: Annotated[bool, typer.Option("--all-keys", help="Print a line for each key, not for each part.")] = False,
) -> None:
    """Convert a Lightning checkpoint; the folder computes the same numbers."""
    if output_dir.exists() and not (output_dir.is_dir() and not any(output_dir.iterdir())):
        raise UsageError(f"--output-dir {output_dir} exists already: name a new folder")
    from transformers.utils import logging

    from panollava_hf.conversion import convert_lightning_checkpoint
    from panollava_hf.hub._push import check_repository

    if push_to_hub is not None:
        with usage_errors(f"--push-to-hub {push_to_hub}", PushError):
            check_repository(push_to_hub)
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what matters is in the account
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with usage_errors("cannot convert", ValueError, OSError), Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task("Reading", total=None)
        done = convert_lightning_checkpoint(
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
    _print_account(done.account, all_keys=all_keys)
    if done.folder is None:
        stderr.print("A dry run: nothing was written.", soft_wrap=True)
        return
    adapter = "; its LoRA adapter is in adapter/" if done.adapter else ""
    stderr.print(f"Wrote {done.folder}/ ({len(done.files)} weight files{adapter}).", soft_wrap=True)
    if push_to_hub is not None:
        from panollava_hf.conversion._folder import upload

        with usage_errors(f"--push-to-hub {push_to_hub}: the folder is written, but not uploaded", PushError):
            told = upload(done.folder, push_to_hub)
        typer.echo(told)


def _print_account(account: "Account", *, all_keys: bool) -> None:
    """What became of the keys, on stdout; notes on stderr."""
    if all_keys:
        for row in account.rows:
            typer.echo(f"{row.fate:<10} {row.key} {_because(row.target, row.why)}")
    else:
        for fate, place, count, told in account.summary():
            typer.echo(f"{fate:<10} {count:>5}  {place}  {told if fate != 'mapped' else '-> ' + told}")
    counts = {fate: len(account.of(fate)) for fate in ("mapped", "dropped", "missing", "unexpected")}
    typer.echo(", ".join(f"{count} {fate}" for fate, count in counts.items()))
    for note in account.notes:
        stderr.print(f"Note: {note}", soft_wrap=True, markup=False)


def _because(target: str, why: str) -> str:
    return f"-> {target}" if target else f"({why})"
