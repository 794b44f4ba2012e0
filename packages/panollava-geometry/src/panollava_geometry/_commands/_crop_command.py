"""The command `crop`. Needs the extra `[cli]`.

Its options are defined without numpy, torch and rich. These are imported when it runs, after the paths were checked.
"""

import sys
from collections.abc import Generator, Iterable
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from panollava_geometry._commands._command_line import echo, error_line
from panollava_geometry._commands._info_command import info
from panollava_geometry._commands._interrupts import on_interrupt
from panollava_geometry._commands._load_options import (
    EyeOption,
    HFovOption,
    PartialOption,
    PoseOption,
    WholeSphereOption,
    load_options,
)
from panollava_geometry._commands._output_folder import check_writable
from panollava_geometry._errors import PanoramaError
from panollava_geometry._planning._strategy_names import Strategy

if TYPE_CHECKING:
    from panollava_geometry._planning._plan import ViewPlan

_T = TypeVar("_T")


class ImageFormat(StrEnum):
    """File format of the views."""

    png = "png"
    jpeg = "jpeg"


def _size(text: str) -> int | None:
    """The number of pixels, or None for `auto`."""
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and int(text[:9]) >= 1):
        raise typer.BadParameter(f"{text!r} is neither a number of pixels, 1 or more, nor 'auto'.")
    return int(text[:9])


SourceArgument = Annotated[str, typer.Argument(help="A panorama (file or http(s) URL), or a folder of panoramas.")]
OutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the results, with one folder per panorama."),
]
StrategyOption = Annotated[Strategy, typer.Option(help="How to divide the panorama into views.")]
SizeOption = Annotated[
    int | None,
    typer.Option(
        parser=_size,
        metavar="auto|PIXELS",
        help="Height and width of a view in pixels. auto: each view at the panorama's own resolution, so that a "
        "pixel at its centre is as large as a pixel of the panorama.",
    ),
]
FovOption = Annotated[float, typer.Option(metavar="DEGREES", help="Field of view of a tile in degrees.")]
OverlapOption = Annotated[
    float, typer.Option(metavar="RATIO", help="Minimum overlap of neighbouring tiles, in [0, 1).")
]
NumViewsOption = Annotated[
    int | None, typer.Option(metavar="NUMBER", help="Tiles per ring. Takes precedence over --overlap-ratio.")
]
NumRingsOption = Annotated[int, typer.Option(metavar="NUMBER", help="Rings of tiles, spread over the pitch range.")]
PitchRangeOption = Annotated[
    tuple[float, float],
    typer.Option(
        metavar="FLOAT FLOAT",
        help="Pitch of the lowest and the highest ring in degrees: two numbers, as in --pitch-range-deg -30 30.",
    ),
]
PlanOption = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="A plan.json file, used instead of a strategy.")
]
FormatOption = Annotated[ImageFormat, typer.Option("--format", help="File format of the views.")]


def crop(
    source: SourceArgument,
    output: OutputOption = Path("views"),
    strategy: StrategyOption = Strategy.anyres_e2p,
    size: SizeOption = "auto",  # type: ignore[assignment]  # parsed by `_size`
    fov_deg: FovOption = 90.0,
    overlap_ratio: OverlapOption = 0.3,
    num_views: NumViewsOption = None,
    num_rings: NumRingsOption = 1,
    pitch_range_deg: PitchRangeOption = (-45.0, 45.0),
    plan_file: PlanOption = None,
    image_format: FormatOption = ImageFormat.png,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Panoramas processed at the same time.")
    ] = None,
    hfov: HFovOption = None,
    partial: PartialOption = False,
    eye: EyeOption = None,
    whole_sphere: WholeSphereOption = False,
    pose: PoseOption = None,
) -> None:
    """Cut panoramas into views.

    Writes the views, plan.json, and an image of every view's footprint. The views of an earlier run in the same folder
    are replaced. Panoramas that cannot be read are reported and skipped; the exit code is then 1, or 2 if there was
    only one panorama.
    """
    from panollava_geometry._commands._crop_sources import find_sources, output_folders, read_plan_file

    sources = find_sources(source)
    folders = output_folders(sources.paths, output)
    plan_text = None if plan_file is None else read_plan_file(plan_file)
    check_writable(output)
    failed, complete = 0, list[str]()
    with on_interrupt(lambda: f"{len(complete)} of {_count(len(folders))} {_are(len(complete))} complete in {output}"):
        from panollava_geometry._planning._view_sizes import check_size

        plan = crop_plan(
            plan_file,
            plan_text,
            strategy=strategy,
            fov_deg=fov_deg,
            overlap_ratio=overlap_ratio,
            num_views=num_views,
            num_rings=num_rings,
            pitch_range_deg=pitch_range_deg,
        )
        if size is not None:
            check_size(plan, size, image_format.value)

        from panollava_geometry._commands._cropping import crop_files

        options = load_options(hfov, partial, eye, whole_sphere, pose)
        results = crop_files(folders, plan, size, image_format.value, workers, options=options, complete=complete)
        with closing(results), closing(_with_progress(results, len(folders))) as shown:
            for _, error in shown:
                if error is None:
                    continue
                if len(folders) == 1:
                    raise error
                failed += 1
                echo(error_line(str(error)), err=True)
    if complete:
        views = f"{len(plan)} view{'s' * (len(plan) != 1)}" + " each" * (len(complete) != 1)
        echo(f"{_count(len(complete))}, {views}, in {output}")
    if sources.skipped():
        echo(sources.skipped())
    if failed:
        raise typer.Exit(1)


def crop_plan(plan_file: Path | None, plan_text: str | None, **options: Any) -> "ViewPlan":
    """The plan of a file whose text was read, or else that of the options of `plan_views`.

    Raises:
        PanoramaError: The text is not a view plan, or an option is impossible.
    """
    from panollava_geometry._planning._plan import ViewPlan
    from panollava_geometry._planning._strategies import plan_views

    if plan_text is None:
        return plan_views(**options)
    try:
        return ViewPlan.from_json(plan_text)
    except PanoramaError as invalid:
        raise PanoramaError(f"{plan_file}: {invalid}") from invalid


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _count(panoramas: int) -> str:
    return f"{panoramas} panorama{'s' * (panoramas != 1)}"


def _with_progress(results: Iterable[_T], total: int) -> Generator[_T]:
    """Yield the results, with a progress bar if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(results, total=total, description="cropping")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(crop)
app.command()(info)


@app.callback()
def _program() -> None:
    """Views of equirectangular panoramas."""
