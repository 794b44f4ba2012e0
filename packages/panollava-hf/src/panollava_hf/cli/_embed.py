"""`panollava embed SOURCE -o vectors.parquet`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.cli import (
    EyeOption,
    HFovOption,
    PartialOption,
    Strategy,
    WholeSphereOption,
    echo,
    load_options,
)

from panollava_hf import _console
from panollava_hf._errors import UsageError
from panollava_hf._shown import counted
from panollava_hf.cli._job_options import (
    BatchSizeOption,
    ColumnsOption,
    EngineOption,
    JobOptions,
    LimitOption,
    ResumeOption,
    RetryErrorsOption,
    SplitOption,
    WorkersOption,
    run_command,
)
from panollava_hf.cli._job_source import PrivateRedirectsOption, SourceArgument, duration, file_size, open_rows
from panollava_hf.cli._model_options import DTYPES, OTHER_DTYPES, DeviceOption, DTypeOption, check_name
from panollava_hf.cli._usage import check_device
from panollava_hf.jobs._embedder import DEFAULT_EMBEDDER, PanoramaEmbedder
from panollava_hf.jobs._warned import collected

if TYPE_CHECKING:
    from panollava_hf.jobs._source import Source

POOLINGS = ("mean", "max", "first", "cls", "pooler", "cls+mean", "pooler+mean")
POOLED_VIEWS = ("all", "tiles")
#: Rows on which a dry run measures the time.
MEASURED = 8


def embed(
    source: SourceArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Results: a file .parquet or .jsonl, or a folder for Parquet files.",
        ),
    ] = Path("vectors.parquet"),
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Hub id or folder of a vision tower, of a PanoLLaVA checkpoint or of an embedding export; or "
            f'"embedded". Default: {DEFAULT_EMBEDDER}.',
        ),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(POOLINGS), help="How the vector of a view is made. Default: what suits the model."
        ),
    ] = None,
    pooled_views: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(POOLED_VIEWS),
            help="Views that the panorama's vector is made of: all, or without the global view. Default: the model's.",
        ),
    ] = None,
    strategy: Annotated[
        Strategy | None, typer.Option(help="How to divide the panorama into views. Default: the model's.")
    ] = None,
    num_views: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Tiles of the ring. Default: the model's.")
    ] = None,
    fov_deg: Annotated[
        float | None, typer.Option(metavar="DEGREES", help="Field of view of a tile. Default: the model's.")
    ] = None,
    overlap_ratio: Annotated[
        float | None,
        typer.Option(metavar="RATIO", help="Overlap of neighbouring tiles, in [0, 1). Default: the model's."),
    ] = None,
    view_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="PIXELS", help="Height and width of a view. Default: the model's."),
    ] = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    engine: EngineOption = "local",
    workers: WorkersOption = None,
    batch_size: BatchSizeOption = None,
    limit: LimitOption = None,
    resume: ResumeOption = True,
    retry_errors: RetryErrorsOption = False,
    split: SplitOption = None,
    columns: ColumnsOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the number of panoramas, views, forward passes and bytes, and the time as measured on a few "
            "panoramas; write nothing.",
        ),
    ] = False,
    hfov: HFovOption = None,
    partial: PartialOption = False,
    eye: EyeOption = None,
    whole_sphere: WholeSphereOption = False,
    private_redirects: PrivateRedirectsOption = False,
) -> None:
    """Turn panoramas into vectors: one per panorama, and one per view with its direction.

    Vectors have unit length. Panoramas that cannot be read have the reason in the column `error`; the exit code is then
    1. A command that was stopped goes on if it is run again.
    """
    check_name("--pooling", pooling, POOLINGS)
    check_name("--pooled-views", pooled_views, POOLED_VIEWS)
    check_name("--dtype", dtype, DTYPES, OTHER_DTYPES)
    if device is not None:
        check_device(device)
    if model is not None and not model.strip():
        raise UsageError("--model is empty; name a model, or leave it out for the default")
    options = JobOptions(engine, workers, batch_size, limit, resume, retry_errors)
    options.check()
    rows = open_rows(source, split, columns, limit)
    if model is None:
        _console.note(f"using the default model {DEFAULT_EMBEDDER} (Apache 2.0); name another with --model.")
    job = PanoramaEmbedder(
        model,
        pooling=pooling,  # type: ignore[arg-type]  # checked above
        pooled_views=pooled_views,  # type: ignore[arg-type]  # checked above
        strategy=None if strategy is None else strategy.value,
        num_views=num_views,
        fov_deg=fov_deg,
        overlap_ratio=overlap_ratio,
        view_size=view_size,
        device=device,
        dtype=dtype,
        batch_size=batch_size or PanoramaEmbedder.batch_size,
        private_redirects=private_redirects,
        **load_options(hfov, partial, eye, whole_sphere),
    )
    if dry_run:
        for line in rows.notes:
            _console.note(line)
        for name, value in cost(job, rows).items():
            echo(f"{name:<16} {value}")
        return
    if engine == "local":
        with _console.status("Loading the model …"):
            _ = job.model  # an error of the model or the device is reported before anything is written
    run_command(job, rows, output, options)


def cost(job: PanoramaEmbedder, rows: "Source") -> dict[str, Any]:
    """What embedding a source takes, with the time measured on its first rows."""
    number, model = len(rows), job.model
    places = sorted({place * number // MEASURED for place in range(MEASURED)})
    some = [row for place in places for row in rows.rows(place, place + 1)]
    batch = {name: [row.get(name) for row in some] for name in ("id", "path", "image", "error")}
    with collected() as warned:
        job(batch)  # the first pass is slower than the others
        warned.take()
        started = time.monotonic()
        good = sum(error is None for error in job(batch)["error"])
        seconds = time.monotonic() - started
    for kind in warned.take().values():
        _console.note(f"{kind.rows} of the {counted(len(some), 'panorama')} that were tried: {kind.text}.")
    vectors = 1 + len(model.directions)
    names = sum(len(f"{row['id']}{row['path']}".encode()) for row in some) / len(some)
    size = number * (4 * model.width * vectors + 8 * len(model.directions) + 8 + names)
    views = len(model.plan)
    height, width = model.size
    return {
        "panoramas": f"{number:,}",
        "views": f"{number * views:,} ({views} of {width}x{height} pixels each)",
        "forward passes": f"{-(-number // job.batch_size):,} of up to {job.batch_size} panoramas",
        "vectors": f"{number * vectors:,} of {model.width} numbers ({vectors} per panorama)",
        "output": f"about {file_size(size)}",
        "time": f"about {duration(seconds / good * number)} in one process on {model.device.type}, measured on {good}"
        if good
        else f"unknown: the {len(some)} panoramas that were tried cannot be read",
    }
