"""The command `info`. Needs the extra `[cli]`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from panollava_geometry._commands._command_line import echo, error_line
from panollava_geometry._errors import PanoramaError

if TYPE_CHECKING:
    from panollava_geometry._files._information import PanoramaInfo
    from panollava_geometry._metadata._panorama_metadata import GPano


def info(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Image files or http(s) URLs.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file and line.")] = False,
) -> None:
    """Print what image files are: format, size, whether they are panoramas, metadata.

    The exit code is 0 if every file is an image, whatever it shows. Otherwise it is 1, or 2 if there is only one file.
    """
    from panollava_geometry._files._information import panorama_info

    failed = False
    for index, file in enumerate(files):
        try:
            found = panorama_info(file)
        except PanoramaError as error:
            if len(files) == 1:
                raise
            failed = True
            echo(error_line(str(error)), err=True)
            continue
        if as_json:
            echo(json.dumps(asdict(found) | {"is_panorama": found.is_panorama}, ensure_ascii=False))
        else:
            echo("\n" * (index > 0) + found.name)
            for label, text in _lines(found):
                echo(f"  {label + ':':<14}{text}")
    if failed:
        raise typer.Exit(1)


def _lines(found: "PanoramaInfo") -> Iterator[tuple[str, str]]:
    """The lines about a file: label and text."""
    yield "format", f"{found.format}, {found.size[0]}x{found.size[1]}, {found.mode}"
    yield "shows", f"{found.kind}{found.reason and f': {found.reason}'}"
    if found.panorama_size is not None and found.kind == "part of the sphere":
        yield "full sphere", f"{found.panorama_size[0]}x{found.panorama_size[1]}"
    if found.orientation != 1:
        yield "orientation", f"{found.orientation} (EXIF)"
    if found.profile is not None:
        yield "colours", found.profile
    if found.gpano is not None:
        yield from _gpano_lines(found.gpano)


def _gpano_lines(gpano: "GPano") -> Iterator[tuple[str, str]]:
    if gpano.projection is not None:
        yield "projection", gpano.projection
    if gpano.area is not None and gpano.full_size is not None and gpano.area[2:] != gpano.full_size:
        left, top, width, height = gpano.area
        yield "area", f"{width}x{height} at ({left}, {top}) of {gpano.full_size[0]}x{gpano.full_size[1]}"
    for label, angles in (
        ("pose", (gpano.pose_heading_deg, gpano.pose_pitch_deg, gpano.pose_roll_deg, None)),
        (
            "initial view",
            (gpano.initial_heading_deg, gpano.initial_pitch_deg, gpano.initial_roll_deg, gpano.initial_hfov_deg),
        ),
    ):
        names = ("heading", "pitch", "roll", "field of view")
        given = [f"{name} {angle:g}°" for name, angle in zip(names, angles, strict=True) if angle is not None]
        if given:
            yield label, ", ".join(given)
    if gpano.source_photos is not None:
        yield "photographs", str(gpano.source_photos)
    dates = [date for date in (gpano.first_photo_date, gpano.last_photo_date) if date]
    if dates:
        yield "taken", " to ".join(dict.fromkeys(dates))
    for label, text in (("captured by", gpano.capture_software), ("stitched by", gpano.stitching_software)):
        if text:
            yield label, text
    if gpano.unreadable:
        yield "not readable", ", ".join(gpano.unreadable)
