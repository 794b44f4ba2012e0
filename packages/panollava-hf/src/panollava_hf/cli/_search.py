"""`panollava search VECTORS QUERY`."""

import io
import math
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from panollava_geometry.addresses import is_address
from panollava_geometry.cli import echo, printable

from panollava_hf import _console
from panollava_hf._errors import ModelError, TableError, UsageError
from panollava_hf._files import check_writable, write_whole
from panollava_hf._shown import shortened, shown
from panollava_hf.cli._model_options import DeviceOption, JsonOption
from panollava_hf.cli._printing import echo_json, shown_source
from panollava_hf.cli._usage import check_device, usage_errors

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.search import Hit, Query, QueryEmbedder, VectorTable

#: Hits that a contact sheet shows; WebP images are at most 16,383 pixels high.
SHOWN = 50
SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


def search(
    vectors: Annotated[
        Path,
        typer.Argument(
            metavar="VECTORS", help="Vectors that 'panollava embed' wrote: a .parquet file, or a folder of them."
        ),
    ],
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY", help="A panorama: an image file, an http(s) URL, or the id of one in the vectors."
        ),
    ],
    count: Annotated[int, typer.Option("-k", "--count", min=1, metavar="NUMBER", help="How many hits.")] = 5,
    view: Annotated[
        str | None,
        typer.Option(
            metavar="YAW,PITCH", help="Search for what the query shows in this direction, in any view, such as 90,0."
        ),
    ] = None,
    exclude_self: Annotated[
        bool, typer.Option("--exclude-self", help="Leave out the panorama with the id or path of the query.")
    ] = False,
    headings: Annotated[
        int,
        typer.Option(
            min=1,
            max=16,
            metavar="NUMBER",
            help="How often the views of the query are cut between two tiles: more is slower, and the heading more "
            "exact.",
        ),
    ] = 8,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Approximate index of FAISS for millions of panoramas, made if it does not exist. Default: exact.",
        ),
    ] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Image file (.png, .jpg, .webp) that shows the hits.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Where the model of the vectors is now, if it moved.")
    ] = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the panoramas that show the same place, whatever their headings.

    Each hit has one line: its score, its path, where to look in it, and by how much it is turned. The model that made
    the vectors embeds the query.
    """
    started = time.perf_counter()
    direction = None if view is None else read_direction(view)
    if contact_sheet is not None:
        _check_sheet(contact_sheet)
    if device is not None:
        check_device(device)
    if index is not None:
        if index.is_dir():
            raise UsageError(f"--index {index}: this is a folder; name a file")
        check_writable(index.parent, "--index")
    if query.lower().endswith(".parquet") and vectors.is_file() and vectors.suffix.lower() != ".parquet":
        raise UsageError(
            f"{shown(query)} is a table of vectors and {shown(str(vectors))} is not: the vectors come first, as in "
            "panollava search VECTORS QUERY"
        )
    is_image = is_address(query) or Path(query).exists()
    with usage_errors("cannot search", TableError, ModelError, OSError):
        from panollava_hf.search import QueryEmbedder, read_vectors
        from panollava_hf.search._index import require_faiss

        require_faiss()
        table = read_vectors(vectors)
        if table.errors:
            _console.note(f"{table.errors:,} of {table.rows:,} rows of {vectors} have an error and are left out.")
        if not is_image and table.find(query) is None:
            raise TableError(f"{shortened(query, 200)} is not a file, and not the id of a panorama in {vectors}")
        panorama, asked, place = None, None, None
        if is_image:
            with _console.status("Loading the model …"):
                embedder = QueryEmbedder.of(table, model=model, device=device)
                panorama = embedder.read(query)
            with _console.status("Embedding the query …"):
                asked, place = _embedded(embedder, panorama, direction, headings)
            if asked.unlike:
                from panollava_hf.asking._unknown import unlike_vectors

                _console.note(f"{shortened(shown_source(query), 80)}: {unlike_vectors(asked.unlike)}.")
        elif direction is not None:
            asked, place = _of_table(table, query, direction)
        with _console.status("Searching …"):
            hits = _search(table, query, asked, place, count, exclude_self, index)
    if contact_sheet is not None:
        _write_sheet(contact_sheet, panorama, query, hits, table, started)
    if as_json:
        for rank, hit in enumerate(hits, 1):
            echo_json({"rank": rank} | asdict(hit))
    else:
        for line in lines(hits):
            echo(line)
    if not hits:
        _console.note(f"no other panorama is in {vectors}.")


def read_direction(text: str) -> tuple[float, float]:
    """Yaw and pitch of `--view`.

    Raises:
        UsageError: It is not a pair of angles.
    """
    try:
        yaw, pitch = (float(number) for number in text.split(","))
    except ValueError:
        yaw = pitch = math.nan
    if not (math.isfinite(yaw) and math.isfinite(pitch) and abs(pitch) <= 90):
        raise UsageError(f"--view {shortened(text, 80)}: expected yaw and pitch in degrees, such as 90,0")
    return yaw, pitch


def lines(hits: "list[Hit]") -> list[str]:
    """The hits as text, in columns."""
    paths = [printable(shortened(shown_source(hit.path), 200) if hit.path else hit.id) for hit in hits]
    wide = max(map(len, paths), default=0)
    found = []
    for hit, path in zip(hits, paths, strict=True):
        where = (
            "" if hit.yaw_deg is None else f"  yaw {_whole(hit.yaw_deg):>5}, pitch {_whole(hit.pitch_deg or 0.0):>4}"
        )
        turned = "" if hit.heading_deg is None else f"  turned by {_whole(hit.heading_deg)}"
        found.append(f"{hit.score:6.3f}  {path:<{wide}}{where}{turned}".rstrip())
    return found


def _whole(angle: float) -> str:
    return f"{round(angle):+d}°" if round(angle) else "0°"


def _embedded(
    embedder: "QueryEmbedder", panorama: "Tensor", direction: tuple[float, float] | None, headings: int
) -> "tuple[Query, int | None]":
    """The vectors of the query, and the place of the view that is searched for."""
    if direction is None:
        return embedder.embed(panorama, headings=headings), None
    return embedder.embed_view(panorama, *direction)


def _of_table(table: "VectorTable", name: str, direction: tuple[float, float]) -> "tuple[Query, int]":
    """A panorama of the table, and its view that is nearest to a direction."""
    from panollava_hf.search._search import query_of

    query = query_of(table, name)
    if not query.directions:
        raise TableError(f"{name}: its views have no direction; search without --view")
    apart = [abs((yaw - direction[0] + 180) % 360 - 180) + abs(pitch - direction[1]) for yaw, pitch in query.directions]
    place = apart.index(min(apart))
    if min(apart) > 1:
        yaw, pitch = query.directions[place]
        _console.note(f"the nearest stored view of {shortened(name, 80)} is used: yaw {yaw:.0f}°, pitch {pitch:.0f}°.")
    return query, place


def _search(
    table: "VectorTable",
    name: str,
    asked: "Query | None",
    place: int | None,
    count: int,
    exclude_self: bool,
    index: Path | None,
) -> "list[Hit]":
    from panollava_hf.search import search as run

    more = 1 if exclude_self else 0
    hits = run(table, name if asked is None else asked, count + more, view=place, index=index)
    if exclude_self:
        names = {name} if is_address(name) else {name, os.path.abspath(name)}
        hits = [hit for hit in hits if not names & {hit.id, hit.path and _absolute(hit.path)}]
    return hits[:count]


def _absolute(path: str) -> str:
    return path if is_address(path) else os.path.abspath(path)


def _check_sheet(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--contact-sheet {path}: the name must end in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise UsageError(f"--contact-sheet {path}: this is a folder; name an image file")
    check_writable(path.parent, "--contact-sheet")


def _write_sheet(
    path: Path, panorama: "Tensor | None", query: str, hits: "list[Hit]", table: "VectorTable", started: float
) -> None:
    from panollava_hf.search._sheet import hits_sheet, read_image

    if panorama is None:  # an id of the table
        place = table.find(query)
        rows = next(table.take([] if place is None else [place]))
        panorama, _ = read_image(rows.paths[0])
    if len(hits) > SHOWN:
        _console.note(f"the contact sheet shows the first {SHOWN} of {len(hits):,} hits.")
    fov: Any = (table.settings or {}).get("fov_deg") or 90.0
    sheet = hits_sheet(panorama, Path(shown_source(query)).name, hits[:SHOWN], fov_deg=float(fov))
    stream = io.BytesIO()
    sheet.save(stream, SUFFIXES[path.suffix.lower()], quality=92)
    with usage_errors(f"--contact-sheet {path}", OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, stream.getvalue())
    _console.say(f"Wrote {path} in {time.perf_counter() - started:.1f} s.")
