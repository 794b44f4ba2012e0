"""`panollava eval-retrieval SOURCE`: how well a model finds the same place again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.cli import EyeOption, HFovOption, PartialOption, WholeSphereOption, echo, load_options

from panollava_hf import _console
from panollava_hf._errors import EvaluationError, ModelError, TableError, UsageError
from panollava_hf._files import check_writable
from panollava_hf._shown import shortened
from panollava_hf.cli._job_options import ColumnsOption, LimitOption, SplitOption
from panollava_hf.cli._job_source import SourceArgument, open_rows
from panollava_hf.cli._model_options import DeviceOption, DTypeOption, JsonOption
from panollava_hf.cli._printing import echo_json
from panollava_hf.cli._usage import check_device, usage_errors

if TYPE_CHECKING:
    from panollava_hf.jobs._source import Source


def eval_retrieval(
    source: SourceArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for results.json.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="As in 'panollava embed'. Default: facebook/dinov2-small, without training.",
        ),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="How the vector of a view is made. Default: what suits the model."),
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="How to divide the panorama into views. Default: the model's.")
    ] = None,
    num_views: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Tiles of the ring. Default: the model's.")
    ] = None,
    fov_deg: Annotated[
        float | None, typer.Option(metavar="DEGREES", help="Field of view of a tile. Default: the model's.")
    ] = None,
    view_size: Annotated[
        int | None, typer.Option(min=1, metavar="PIXELS", help="Height and width of a view. Default: the model's.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Number of queries.")] = 512,
    yaw: Annotated[
        str, typer.Option(metavar="random|DEGREES", help="Rotation of the queries about the vertical axis.")
    ] = "random",
    tilt: Annotated[
        float, typer.Option(metavar="DEGREES", help="Tilt of the camera, in a random direction, such as 20.")
    ] = 0.0,
    roll: Annotated[
        float, typer.Option(metavar="DEGREES", help="Largest further rotation about the direction of view, either way.")
    ] = 0.0,
    noise: Annotated[
        float, typer.Option(metavar="LEVELS", help="Standard deviation of Gaussian noise, in grey levels of 255.")
    ] = 0.0,
    brightness: Annotated[
        float, typer.Option(metavar="SHARE", help="Largest change of brightness: 0.2 multiplies by 0.8 to 1.2.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Seed of all random numbers.")] = 0,
    headings: Annotated[
        int,
        typer.Option(
            min=1, max=16, metavar="NUMBER", help="How many times the views of a query are cut between two tiles."
        ),
    ] = 2,
    self_similarity: Annotated[
        int,
        typer.Option(
            min=0, metavar="NUMBER", help="Panoramas whose similarity with their own rotation is measured; 0 for none."
        ),
    ] = 16,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines", help="Also compare the whole panorama resized to one view, and views of py360convert."
        ),
    ] = False,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    limit: LimitOption = None,
    split: SplitOption = None,
    columns: ColumnsOption = None,
    hfov: HFovOption = None,
    partial: PartialOption = False,
    eye: EyeOption = None,
    whole_sphere: WholeSphereOption = False,
    as_json: JsonOption = False,
) -> None:
    """Look for panoramas after a random rotation, among all of them, and print Recall@1, 5 and 10.

    Every panorama is one place. A query is one of them, rotated, tilted or changed as the options say; the same seed
    gives the same queries.
    """
    if output is not None:
        if output.is_file():
            raise UsageError(f"--output {output}: this is a file, expected a folder")
        check_writable(output, "--output")
    if device is not None:
        check_device(device)
    with usage_errors("cannot evaluate", EvaluationError):
        from panollava_hf.search._distortion import Distortion

        distortion = Distortion(_yaw(yaw), tilt, roll, noise, brightness)
    rows = open_rows(source, split, columns, limit)
    with usage_errors("cannot evaluate", EvaluationError, TableError, ModelError, OSError):
        from panollava_hf.jobs._embedder import PanoramaEmbedder
        from panollava_hf.search import QueryEmbedder, evaluate_retrieval

        options: dict[str, Any] = {
            "pooling": pooling,
            "strategy": strategy,
            "num_views": num_views,
            "fov_deg": fov_deg,
            "view_size": view_size,
            "device": device,
            "dtype": dtype,
        }
        reading = load_options(hfov, partial, eye, whole_sphere)
        embedder = QueryEmbedder(PanoramaEmbedder(model, **options, **reading))
        with _console.status("Loading the model …"):
            _ = embedder.job.model
        bars, tasks = _console.progress(), {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done)

        with bars:
            results = evaluate_retrieval(
                embedder,
                _Images(rows),
                queries=queries,
                distortion=distortion,
                seed=seed,
                headings=headings,
                baselines=baselines,
                self_similarity=self_similarity,
                names=rows.ids(0, len(rows)),
                progress=show,
            )
        if output is not None:
            _console.say(f"Wrote {results.write(output)} in {results.seconds:.0f} s.")
    for name, reason in list(results.failed.items())[:3]:
        _console.note(f"{shortened(name, 100)} was left out: {reason}")
    if len(results.failed) > 3:
        _console.note(f"{len(results.failed) - 3:,} more panoramas were left out.")
    if as_json:
        echo_json(results.to_dict())
    else:
        echo(results.table())


class _Images(Sequence[Any]):
    """The panoramas of a source, read one at a time."""

    def __init__(self, source: "Source") -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, place: Any) -> Any:
        row: Mapping[str, Any] = self.source.rows(place, place + 1)[0]
        if row.get("error"):
            raise TableError(str(row["error"]))
        return row["image"]


def _yaw(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
