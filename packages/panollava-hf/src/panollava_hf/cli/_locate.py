"""`panollava locate PANORAMA WHAT`."""

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.cli import (
    EyeOption,
    HFovOption,
    PartialOption,
    WholeSphereOption,
    echo,
    load_options,
    printable,
)

from panollava_hf import _console
from panollava_hf._errors import UsageError
from panollava_hf._files import check_writable, write_whole
from panollava_hf._shown import listed, shortened
from panollava_hf.cli import _model_options
from panollava_hf.cli._ask import MAX_WIDTH, check_file
from panollava_hf.cli._model_options import (
    PANOLLAVA,
    BaseUrlOption,
    BudgetOption,
    DeviceOption,
    DryRunOption,
    DTypeOption,
    JsonOption,
    MaxNewTokensOption,
    ModelChoice,
    ModelOption,
    SystemOption,
    TimeoutOption,
    ViewSizeOption,
    check_name,
)
from panollava_hf.cli._printing import echo_json, print_cost, shown_source
from panollava_hf.cli._usage import check_order, usage_errors

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.asking import Locations, Region

#: How models write boxes; the formats themselves are in a package that imports torch.
FORMATS = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "internvl", "gemma", "paligemma")
#: The strategies that show single views.
STRATEGIES = ("views", "zoom")
SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


def locate(
    panorama: Annotated[str, typer.Argument(help="A panorama: an image file, or an http(s) URL.")],
    what: Annotated[str, typer.Argument(metavar="WHAT", help='What to find, such as "the red door".')],
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE", help="Image file (.jpg, .png, .webp) for the panorama with the boxes drawn on it."
        ),
    ] = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    strategy: Annotated[
        str,
        typer.Option(
            metavar="|".join(STRATEGIES),
            help="views: ten views, each by itself. zoom: then each object again in a view of its own, where it is "
            "needed for an exact box.",
        ),
    ] = "zoom",
    box_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT", help=f"How the model writes boxes: {', '.join(FORMATS)}. Default: its family's."
        ),
    ] = None,
    view_size: ViewSizeOption = None,
    system: SystemOption = None,
    budget: BudgetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    max_new_tokens: MaxNewTokensOption = 1024,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    timeout: TimeoutOption = None,
    hfov: HFovOption = None,
    partial: PartialOption = False,
    eye: EyeOption = None,
    whole_sphere: WholeSphereOption = False,
) -> None:
    """Find something in a 360° panorama, and print where it is.

    Each object has one line: its label, the yaw and pitch of its centre, its width and height as seen from the camera,
    and its direction in words. If nothing is found, nothing is printed to stdout, a note says so, and the exit code is
    0.
    """
    started = time.perf_counter()
    if not what.strip():
        raise UsageError("what to find is empty; name it, such as 'the red door'")
    check_order(panorama, [what], 'panollava locate PANORAMA "WHAT"')
    check_file(panorama)
    check_name("--strategy", strategy, STRATEGIES)
    check_name("--box-format", box_format, FORMATS)
    if save is not None:
        _check_image_file(save)
    choice = _model_options.check(ModelChoice(model, base_url, None, view_size, None, device, dtype, system, timeout))
    if choice.kind == PANOLLAVA:
        raise UsageError(
            f"locate does not work with {shortened(str(choice.model), 200)}: PanoLLaVA checkpoints answer in words, "
            "not in boxes; use a model that writes boxes, such as Qwen/Qwen3-VL-2B-Instruct"
        )
    most = _model_options.read_budget(budget)
    from panollava_geometry import load_equirectangular

    with _console.status("Reading the panorama …"):
        image = load_equirectangular(panorama, max_width=MAX_WIDTH, **load_options(hfov, partial, eye, whole_sphere))
    answerer = _model_options.load(choice, weights=not dry_run)
    options: dict[str, Any] = {
        "box_format": box_format,
        "look_again": strategy == "zoom",
        "max_new_tokens": max_new_tokens,
    }
    if dry_run:
        print_cost(
            answerer.locate_cost(image, what, **options), as_json=as_json, panorama=shown_source(panorama), what=what
        )
        return
    with _console.status("Looking …"):
        found = answerer.locate(image, what, budget=most, **options)
    _print_notes(what, found)
    try:
        if save is not None:
            _write_image(image, found, save)
    finally:  # what was found is printed, also if the image cannot be saved
        if as_json:
            seconds = round(time.perf_counter() - started, 3)
            echo_json(
                {"panorama": shown_source(panorama), "what": what, "model": answerer.name}
                | _fields(found)
                | {"saved": [] if save is None else [printable(str(save))], "seconds": seconds}
            )
        else:
            for region in found.regions:
                echo(_line(region))


def _line(region: "Region") -> str:
    """A region as text."""
    from panollava_hf.asking._directions import direction

    box = region.box
    yaw = "180.0°" if _degrees(box.yaw_deg) == "-180.0°" else _degrees(box.yaw_deg)  # the same direction
    angles = f"yaw {yaw}, pitch {_degrees(box.pitch_deg)}"
    size = f"width {_degrees(box.width_deg)}, height {_degrees(box.height_deg)}"
    roll = f", roll {_degrees(box.roll_deg)}" if round(box.roll_deg, 1) else ""
    return f"{shortened(region.label, 80)}: {angles}, {size}{roll} ({direction(box.yaw_deg, box.pitch_deg)})"


def _degrees(angle: float) -> str:
    return f"{round(angle, 1) + 0.0:.1f}°"


def _fields(found: "Locations") -> dict[str, Any]:
    """What a JSON object says about the regions and the cost."""
    from panollava_hf.asking._directions import direction

    regions = [
        {"label": region.label}
        | {name: round(value, 3) for name, value in region.box.to_dict().items()}
        | {"direction": direction(region.box.yaw_deg, region.box.pitch_deg), "views": list(region.views)}
        for region in found.regions
    ]
    return {
        "regions": regions,
        "views": [reply.view.to_dict() | {"reply": reply.text, "problem": reply.problem} for reply in found.replies],
        "box_format": found.box_format,
        "calls": found.calls,
        "image_tokens": found.image_tokens,
        "prompt_tokens": found.prompt_tokens,
        "new_tokens": found.new_tokens,
    }


def _print_notes(what: str, found: "Locations") -> None:
    if found.problems:
        count = f"{len(found.problems)} of {len(found.replies)} replies"
        _console.note(f"{count} could not be used in full: {shortened(listed(found.problems, 2, '; '), 400)}")
    if not found.regions:
        _console.note(f"{shortened(what, 80)} was not found in {len(found.replies)} views.")


def _check_image_file(path: Path) -> None:
    """Check before the work begins that an image can be written.

    Raises:
        UsageError: It is a folder, its suffix is unknown, or its folder cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--save {path}: the name must end in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise UsageError(f"--save {path}: this is a folder; name an image file")
    check_writable(path.parent, "--save")


def _write_image(image: "Tensor", found: "Locations", path: Path) -> None:
    from panollava_geometry import draw_boxes

    drawn = draw_boxes(image, [region.box for region in found.regions], [region.label for region in found.regions])
    stream = io.BytesIO()
    drawn.save(stream, SUFFIXES[path.suffix.lower()], quality=92)
    with usage_errors(f"--save {path}", OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, stream.getvalue())
    _console.say(f"Wrote {path}")
