"""`panollava crop SOURCE -o DIR`: one panorama as the command of the geometry does it, many as a job."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.cli import (
    EyeOption,
    FormatOption,
    FovOption,
    HFovOption,
    ImageFormat,
    NumRingsOption,
    NumViewsOption,
    OutputOption,
    OverlapOption,
    PartialOption,
    PitchRangeOption,
    PlanOption,
    PoseOption,
    SizeOption,
    Strategy,
    StrategyOption,
    WholeSphereOption,
    check_writable,
    crop_plan,
    echo,
    error_line,
    load_options,
)
from panollava_geometry.cli import crop as crop_one

from panollava_hf._errors import UsageError
from panollava_hf._shown import listed
from panollava_hf.cli._job_options import (
    BatchSizeOption,
    ColumnsOption,
    EngineOption,
    JobOptions,
    LimitOption,
    ResumeOption,
    RetryErrorsOption,
    SplitOption,
    run_command,
)
from panollava_hf.cli._job_source import PrivateRedirectsOption, SourceArgument, duration, file_size, open_rows

if TYPE_CHECKING:
    from panollava_hf.jobs._cropper import PanoramaCropper
    from panollava_hf.jobs._place import Place
    from panollava_hf.jobs._source import Source

#: The table of results in the output folder.
TABLE = "panoramas.jsonl"
#: Errors that are printed one by one; all are in the table.
PRINTED_ERRORS = 20
#: Panoramas that a dry run cuts.
MEASURED = 4
#: Suffixes of files that stand for many panoramas.
OF_MANY = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".lst", ".tar", ".tgz", ".gz", ".zip")


def crop(
    source: SourceArgument,
    output: OutputOption = Path("views"),
    strategy: StrategyOption = Strategy.anyres_e2p,
    size: SizeOption = "auto",  # type: ignore[assignment]  # parsed by the option
    fov_deg: FovOption = 90.0,
    overlap_ratio: OverlapOption = 0.3,
    num_views: NumViewsOption = None,
    num_rings: NumRingsOption = 1,
    pitch_range_deg: PitchRangeOption = (-45.0, 45.0),
    plan_file: PlanOption = None,
    image_format: FormatOption = ImageFormat.png,
    engine: EngineOption = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="Processes. Default: 1, which cuts as many panoramas at the same time as there are cores.",
        ),
    ] = None,
    batch_size: BatchSizeOption = None,
    limit: LimitOption = None,
    resume: ResumeOption = True,
    retry_errors: RetryErrorsOption = False,
    split: SplitOption = None,
    columns: ColumnsOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print panoramas, views, pixels and folders; write nothing.")
    ] = False,
    hfov: HFovOption = None,
    partial: PartialOption = False,
    eye: EyeOption = None,
    whole_sphere: WholeSphereOption = False,
    pose: PoseOption = None,
    private_redirects: PrivateRedirectsOption = False,
) -> None:
    """Cut panoramas into views.

    Writes the views, plan.json, and an image of every view's footprint. The views of an earlier run in the same folder
    are replaced. Of several panoramas, panoramas.jsonl lists the folders; those that cannot be read are reported and
    skipped, and the exit code is then 1. It is 2 if there was only one panorama. A command that was stopped goes on if
    it is run again.
    """
    options = JobOptions(engine, workers, batch_size, limit, resume, retry_errors)
    options.check()
    views: dict[str, Any] = {
        "strategy": strategy,
        "fov_deg": fov_deg,
        "overlap_ratio": overlap_ratio,
        "num_views": num_views,
        "num_rings": num_rings,
        "pitch_range_deg": pitch_range_deg,
    }
    reading: dict[str, Any] = {"hfov": hfov, "partial": partial, "eye": eye, "whole_sphere": whole_sphere, "pose": pose}
    if _is_one(source) and not dry_run:
        one = {**views, **reading, "plan_file": plan_file, "image_format": image_format}
        crop_one(source, output, size=size, **one)
        return
    rows = open_rows(source, split, columns, limit)
    from panollava_geometry.files import read_plan_file

    plan_text = None if plan_file is None else read_plan_file(plan_file)
    check_writable(output)
    from panollava_hf.jobs._cropper import PanoramaCropper
    from panollava_hf.jobs._folder_names import exceptional_names

    plan = crop_plan(plan_file, plan_text, **views)
    ids = rows.ids(0, len(rows))
    beneath = os.path.realpath(source) == os.path.realpath(output)  # folders cannot have the names of the panoramas
    names = exceptional_names(ids, reserved=[TABLE, *(ids if beneath else ())])
    job = PanoramaCropper(
        output,
        plan,
        size=size,
        image_format=image_format.value,
        names=names,
        private_redirects=private_redirects,
        **load_options(**reading),
    )
    if dry_run:
        _print_cost(job, rows, len(plan))
        return
    from panollava_hf.jobs._manifest import Manifest
    from panollava_hf.jobs._place import Place

    place = Place.of(output / TABLE)
    if resume and not _goes_on(place, job, rows):
        options = replace(options, resume=False)
    leftovers = _leftovers(job, rows) if place.parts.exists() else []
    code = 0
    try:
        run_command(job, rows, output / TABLE, options)
    except typer.Exit as stop:
        code = stop.exit_code
    for folder in leftovers:
        shutil.rmtree(folder)
    figures = (Manifest.read(place.manifest) or Manifest.of(job, rows, 1)).summary or {}
    done, failed = figures.get("done", 0), figures.get("failed", 0)
    _print_errors(place.output, failed, alone=len(rows) == 1)
    if done:
        views_text = f"{len(plan)} view{'s' * (len(plan) != 1)}" + " each" * (done != 1)
        echo(f"{done} panorama{'s' * (done != 1)}, {views_text}, in {output}")
    raise typer.Exit(code)


def _is_one(source: str) -> bool:
    """Whether a source is one image: a URL, or a file of any suffix but those of tables and shards."""
    from panollava_geometry.addresses import is_address

    if is_address(source):
        return True
    path = Path(source).expanduser()
    return path.is_file() and path.suffix.lower() not in OF_MANY


def _goes_on(place: "Place", job: "PanoramaCropper", rows: "Source") -> bool:
    """Whether this command goes on with an earlier one. If not, all panoramas are cut again, as for a single one.

    It does not if the earlier one had other options or another source, or was complete and a folder is missing or older
    than its panorama.
    """
    from panollava_hf.jobs._manifest import Manifest

    wanted = Manifest.of(job, rows, 1)

    def is_same(manifest: Manifest) -> bool:
        return manifest.settings == wanted.settings and manifest.same_source(wanted)

    unfinished = Manifest.read(place.part_manifest)
    if unfinished is not None:
        return is_same(unfinished)
    finished = place.finished()
    if finished is None:
        return True
    since = place.output.stat().st_mtime_ns
    return is_same(finished) and all(_is_fresh(row, job.output, since) for row in _read(place.output))


def _is_fresh(row: dict[str, Any], output: Path, since: int) -> bool:
    """Whether the folder of a row is there, and its panorama was not changed since.

    Args:
        row: A row of the table.
        output: The folder of results.
        since: When the table was written, for rows with an error, which have no folder.
    """
    if row["error"] is None:
        try:
            since = (output / row["folder"] / "plan.json").stat().st_mtime_ns
        except OSError:
            return False
    try:
        return row["path"] is None or os.stat(row["path"]).st_mtime_ns <= since
    except (OSError, ValueError):  # a URL, or an image in a shard
        return True


def _leftovers(job: "PanoramaCropper", rows: "Source") -> list[Path]:
    """Folders of panoramas that a killed run did not complete."""
    parents = {(job.output / job.folder_of(id)).parent for id in rows.ids(0, len(rows))}
    return [path for parent in parents if parent.is_dir() for path in parent.glob(".crop-*") if path.is_dir()]


def _read(table: Path) -> Iterator[dict[str, Any]]:
    with table.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _print_errors(table: Path, number: int, *, alone: bool) -> None:
    """Print the first errors, each with the panorama it is about.

    Raises:
        UsageError: There is one panorama only; this is its error.
    """
    failed = (row for row in _read(table) if row["error"] is not None)
    for row in islice(failed, min(number, PRINTED_ERRORS)):
        error, name = row["error"], row["path"] or row["id"]
        text = error if name in error else f"{name}: {error}"
        if alone:
            raise UsageError(text)
        echo(error_line(text), err=True)
    if number > PRINTED_ERRORS:
        echo(error_line(f"{number - PRINTED_ERRORS:,} more errors are in {table}"), err=True)


def _print_cost(job: "PanoramaCropper", rows: "Source", views: int) -> None:
    """Print what cutting a source takes, as measured on a few panoramas, which are cut into a temporary folder."""
    number, size = (
        len(rows),
        "of the panorama's own resolution" if job.size is None else f"of {job.size}x{job.size} pixels",
    )
    places = sorted({place * number // MEASURED for place in range(MEASURED)})
    some = [row for place in places for row in rows.rows(place, place + 1)]
    batch = {name: [row.get(name) for row in some] for name in ("id", "path", "image", "error")}
    wanted = job.output
    with tempfile.TemporaryDirectory() as scratch:
        job.output = Path(scratch)
        started = time.monotonic()
        good = sum(error is None for error in job(batch)["error"])
        seconds = time.monotonic() - started
        written = sum(path.stat().st_size for path in Path(scratch).rglob("*") if path.is_file())
    job.output = wanted
    names = [job.folder_of(row["id"]) for row in some]
    lines = {
        "panoramas": f"{number:,}",
        "views": f"{number * views:,} ({views} {size})",
        "folders": f"{listed(names, 3, total=number)}, in {job.output}",
        "output": f"about {file_size(written / good * number)}" if good else "unknown",
        "time": f"about {duration(seconds / good * number)} on one core, measured on {good} of them"
        if good
        else f"unknown: the {len(some)} panoramas that were tried cannot be read",
    }
    for name, value in lines.items():
        echo(f"{name:<16} {value}")
