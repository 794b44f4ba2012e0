"""The command `crop`. Needs the extra `[cli]`; nothing but `cli.py` imports this module."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from panollava_geometry._crop import crop_files, find_sources, output_folders
from panollava_geometry._errors import PanoramaError
from panollava_geometry._plan import ViewPlan
from panollava_geometry._strategies import STRATEGIES, plan_views


class PictureFormat(StrEnum):
    """How views are stored."""

    png = "png"
    jpeg = "jpeg"


Strategy = StrEnum("Strategy", {name: name for name in STRATEGIES})  # type: ignore[misc]  # made from the table
_DEFAULT_STRATEGY = Strategy("anyres_e2p")


def crop(
    source: Annotated[str, typer.Argument(help="A panorama (file or http(s) URL), or a folder of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; one folder per panorama.")] = Path(
        "views"
    ),
    strategy: Annotated[Strategy, typer.Option(help="How to cut.")] = _DEFAULT_STRATEGY,
    size: Annotated[int, typer.Option(min=1, help="Height and width of a view in pixels.")] = 224,
    fov_deg: Annotated[float, typer.Option(help="Field of view of a tile.")] = 90.0,
    overlap_ratio: Annotated[float, typer.Option(help="Overlap of neighbouring tiles, in [0, 1).")] = 0.3,
    num_views: Annotated[int | None, typer.Option(help="Tiles per ring; wins over the overlap.")] = None,
    num_rings: Annotated[int, typer.Option(help="Rings of tiles, over the pitch range.")] = 1,
    pitch_range_deg: Annotated[tuple[float, float], typer.Option(help="Lowest and highest ring.")] = (-45.0, 45.0),
    plan_file: Annotated[Path | None, typer.Option("--plan", help="A plan.json to use instead of a strategy.")] = None,
    picture_format: Annotated[PictureFormat, typer.Option("--format", help="Format of the views.")] = PictureFormat.png,
    workers: Annotated[int | None, typer.Option(min=1, help="Panoramas at a time.")] = None,
) -> None:
    """Cut panoramas into views: pictures, plan.json and a picture of every view's footprint.

    Keeps going past panoramas that cannot be read, reports them, and then exits with 1 (2 when it was the only one).
    """
    console = Console(stderr=True)
    try:
        if plan_file is not None:
            plan = _read_plan(plan_file)
        else:
            plan = plan_views(
                str(strategy.value),
                fov_deg=fov_deg,
                overlap_ratio=overlap_ratio,
                num_views=num_views,
                num_rings=num_rings,
                pitch_range_deg=pitch_range_deg,
            )
        folders = output_folders(find_sources(source), output)
    except PanoramaError as error:
        _complain(console, error)
        raise typer.Exit(2) from error
    failed = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("cropping", total=len(folders))
        for _, problem in crop_files(folders, plan, size, picture_format.value, workers):
            progress.advance(task)
            if problem is not None:
                failed += 1
                _complain(console, problem)
    done = len(folders) - failed
    if done:
        typer.echo(f"{done} panorama{'s' * (done != 1)}, {len(plan)} views each, in {output}")
    if failed:
        raise typer.Exit(2 if len(folders) == 1 else 1)


def _read_plan(path: Path) -> ViewPlan:
    try:
        return ViewPlan.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PanoramaError(f"{path}: the plan cannot be read ({error})") from error


def _complain(console: Console, error: PanoramaError) -> None:
    console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(crop)


@app.callback()
def _program() -> None:
    """Views of equirectangular panoramas."""
