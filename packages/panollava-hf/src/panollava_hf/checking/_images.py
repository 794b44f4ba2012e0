"""Look at every panorama of a table: does it exist, can it be read, is it a panorama, and is it one of another name."""

import hashlib
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from panollava_geometry import PanoramaError, PanoramaWarning, load_equirectangular
from panollava_geometry.addresses import source_name
from panollava_geometry.files import panorama_size

from panollava_hf._shown import counted, shortened
from panollava_hf.checking._report import Problems
from panollava_hf.checking._tables import Found
from panollava_hf.data._arrow import ArrowRows, plain_cell
from panollava_hf.data._row_checks import ImageFolder
from panollava_hf.evaluation._panoramas import guarded

#: Threads that read headers, and files that wait for them. Reading a header is mostly waiting for the disk.
_THREADS, _WAITING = 8, 64
#: Rows with embedded images that are read at a time.
_BATCH = 16
#: Panoramas narrower than this are named: a view of 90° would have fewer than 64 pixels.
NARROW = 256
#: Bytes at the start of a file that are compared before all of it is read.
_HEAD = 65536
#: How the key of a name without an image begins.
NO_IMAGE = "no image: "
#: Width at which a panorama is decoded; JPEG files are read whole, but decoded at a smaller scale.
_DECODED = 512

Given = TypeVar("Given")
Made = TypeVar("Made")
Progress = Callable[[int, int], None]


@dataclass
class Panorama:
    """A panorama of a table.

    Attributes:
        name: Its name in messages.
        source: Path, URL or bytes; None if there is none, and for bytes whose thumbnail is not needed.
        first: The first of its rows, among those that can be used.
        rows: Number of its rows.
        key: What identifies it: the resolved path, the URL, or a digest of its bytes.
        width: Width in pixels; None if it was not read.
    """

    name: str
    source: Path | str | bytes | None
    first: int
    rows: int = 0
    key: str = ""
    width: int | None = None


@dataclass
class Images:
    """The panoramas of a table.

    Attributes:
        panoramas: Each panorama.
        of_row: For each row that can be used, the place of its panorama in `panoramas`.
    """

    panoramas: list[Panorama] = field(default_factory=list)
    of_row: list[int] = field(default_factory=list)

    def kinds(self) -> dict[str, int]:
        """The numbers of files, URLs, embedded images, and names without an image."""
        kinds = Counter(
            "files"
            if isinstance(one.source, Path)
            else "urls"
            if isinstance(one.source, str)
            else "missing"
            if one.key.startswith(NO_IMAGE)
            else "embedded"
            for one in self.panoramas
        )
        return {name: kinds[name] for name in ("files", "urls", "embedded", "missing")}


def look_at_images(
    found: Found, problems: Problems, progress: Progress, *, decode: bool, urls: bool, private_redirects: bool
) -> Images:
    """Find the panoramas of a table and look at each once.

    Args:
        found: The table.
        problems: Problems are added here.
        progress: Called with the number of panoramas that were looked at, and of all.
        decode: Whether pixels are decoded, too.
        urls: Whether URLs are downloaded.
        private_redirects: Whether URLs can redirect from a public address to a private one.
    """
    images = Images()
    with warnings.catch_warnings(record=True) as caught:
        # What is remarkable about an image comes as a warning, also from other threads.
        warnings.simplefilter("always")

        def look(source: Any) -> tuple[int | None, str]:
            try:
                with guarded(private_redirects):
                    size = panorama_size(source)
                    if decode:
                        load_equirectangular(source, max_width=_DECODED)
                return size[0], ""
            except (PanoramaError, OSError, ValueError) as error:
                return None, str(error)

        def seen(panorama: Panorama, width: int | None, problem: str) -> None:
            panorama.width = width
            if problem:
                problems.add("error", "unreadable image", found.where(panorama.first), problem)

        column = found.examples.columns["image"]
        if any(isinstance(cell, bytes) for cell in found.examples.cells(column)):
            _embedded(found, images, look, seen, progress, urls=urls)
        else:
            waiting = _named(found, images, problems, found.examples.cells(column), urls=urls)
            total = len(waiting)
            for number, (panorama, (width, problem)) in enumerate(
                zip(waiting, in_threads(lambda one: look(one.source), waiting), strict=True), 1
            ):
                seen(panorama, width, problem)
                progress(number, total)
    _add_warnings(found, images, caught, problems)
    narrow = [(one.width, one) for one in images.panoramas if one.width is not None and one.width < NARROW]
    if narrow:
        width, smallest = min(narrow, key=lambda pair: pair[0])
        text = (
            f"{counted(len(narrow), 'panorama')} less than {NARROW} pixels wide, the smallest: {smallest.name}, {width}"
        )
        problems.add("note", "small panoramas", found.where(smallest.first), text)
    remote = [one for one in images.panoramas if isinstance(one.source, str)]
    if remote and not urls:
        count = sum(one.rows for one in remote)
        text = f"URLs are not downloaded without --urls; rows that name one: {count}, the first: {remote[0].name}"
        problems.add("note", "URLs", found.where(remote[0].first), text)
    return images


def _named(found: Found, images: Images, problems: Problems, cells: Iterable[str], *, urls: bool) -> list[Panorama]:
    """Find the panoramas that a table names; returns those whose header can be read."""
    folder = ImageFolder(found.examples.folder)
    by_cell: dict[str, int] = {}
    by_key: dict[str, int] = {}
    waiting = []
    for row, cell in enumerate(cells):
        place = by_cell.get(cell)
        if place is None:
            source: Path | str | None
            if (fault := folder.fault(cell)) is not None:
                kind = "missing image" if fault.startswith("no such image") else "unusable image"
                problems.add("error", kind, found.where(row), fault)
                source, key, name = None, f"{NO_IMAGE}{cell}", shortened(cell, 120)
            else:
                source = folder.locate(cell)
                key = os.path.realpath(source) if isinstance(source, Path) else source
                name = source_name(source) if isinstance(source, str) else shortened(cell.strip(), 120)
            place = by_key.setdefault(key, len(images.panoramas))
            if place == len(images.panoramas):
                images.panoramas.append(Panorama(name, source, row, key=key))
                if isinstance(source, Path) or (source is not None and urls):
                    waiting.append(images.panoramas[-1])
            by_cell[cell] = place
        images.panoramas[place].rows += 1
        images.of_row.append(place)
    return waiting


def _embedded(
    found: Found,
    images: Images,
    look: Callable[[Any], tuple[int | None, str]],
    seen: Callable[[Panorama, int | None, str], None],
    progress: Progress,
    *,
    urls: bool,
) -> None:
    """Look at the images in a table, some of which may be named instead; equal ones are one panorama."""
    folder = ImageFolder(found.examples.folder)

    def all_of(cell: bytes | str) -> tuple[str, Path | str | None, tuple[int | None, str]]:
        if isinstance(cell, bytes):
            return hashlib.sha256(cell).hexdigest(), None, look(cell)
        if (fault := folder.fault(cell)) is not None:
            return f"{NO_IMAGE}{cell}", None, (None, fault)
        source = folder.locate(cell)
        if isinstance(source, str):
            return source, source, look(source) if urls else (None, "")
        return os.path.realpath(source), source, look(source)

    places: dict[str, int] = {}
    for row, (key, source, (width, problem)) in enumerate(in_threads(all_of, _stored(found))):
        place = places.setdefault(key, len(images.panoramas))
        if place == len(images.panoramas):
            name = f"image of row {row + 1}" if source is None else source_name(source)
            images.panoramas.append(Panorama(name, source, row, key=key))
            seen(images.panoramas[-1], width, problem)
        images.panoramas[place].rows += 1
        images.of_row.append(place)
        progress(row + 1, len(found.examples))


def _stored(found: Found) -> Iterator[Any]:
    """The cells with embedded images, a few at a time."""
    rows, column = found.examples.rows, found.examples.columns["image"]
    if not isinstance(rows, ArrowRows):
        raise TypeError(f"{type(rows).__name__} holds no images")
    part = rows.rows.select_columns([column])
    kept = [found.examples.row(index) for index in range(len(found.examples))]
    for start in range(0, len(kept), _BATCH):
        for value in part[kept[start : start + _BATCH]][column]:
            yield plain_cell(value)


def in_threads(function: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """The results of a function in the order of its items, with a bounded number of items in memory."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="check") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= _WAITING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _add_warnings(found: Found, images: Images, caught: list[Any], problems: Problems) -> None:
    """Add what the readers of images noticed."""
    names = {source_name(one.source): one for one in images.panoramas if one.source is not None}
    for warning in caught:
        if not issubclass(warning.category, PanoramaWarning):
            continue
        text = str(warning.message)
        panorama = names.get(text.partition(": ")[0])
        where = found.name if panorama is None else found.where(panorama.first)
        problems.add("note", "doubtful panorama", where, text)


def find_equal_files(panoramas: list[Panorama]) -> dict[str, str]:
    """Files with the same content: the key of each to that of the first such file.

    Only files of the same length are read: first their beginning, then all of them.
    """
    files = list({one.key: one for one in panoramas if isinstance(one.source, Path)}.values())
    groups: list[list[Panorama]] = [files]
    for distinguish in (_length, _head, _content):
        divided: list[list[Panorama]] = []
        flat = [(number, one) for number, group in enumerate(groups) for one in group]
        found: dict[tuple[int, object], list[Panorama]] = {}
        for (number, one), value in zip(flat, in_threads(distinguish, (one for _, one in flat)), strict=True):
            if value is not None:
                found.setdefault((number, value), []).append(one)
        divided = [group for group in found.values() if len(group) > 1]
        groups = divided
    return {one.key: group[0].key for group in groups for one in group}


def _length(panorama: Panorama) -> int | None:
    try:
        return os.path.getsize(str(panorama.source))
    except OSError:  # already among the problems
        return None


def _head(panorama: Panorama) -> bytes | None:
    return _digest(panorama, _HEAD)


def _content(panorama: Panorama) -> bytes | None:
    return _digest(panorama, None)


def _digest(panorama: Panorama, most: int | None) -> bytes | None:
    try:
        with open(str(panorama.source), "rb") as stream:
            if most is not None:
                return hashlib.sha256(stream.read(most)).digest()
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:  # already among the problems
        return None
