"""Which kind of source a name stands for."""

import difflib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from panollava_geometry.addresses import IMAGE_SUFFIXES, is_address, is_hidden, source_name

from panollava_hf._errors import TableError, UsageError, boundary, reason
from panollava_hf._shown import listed, shown
from panollava_hf.jobs._source import Source
from panollava_hf.jobs.sources._cells import check_roles
from panollava_hf.jobs.sources._folder import WRITTEN_BY_CROP, FolderSource, list_images, natural
from panollava_hf.jobs.sources._hub import is_saved, open_hub, open_saved
from panollava_hf.jobs.sources._names import shown_name, text_of
from panollava_hf.jobs.sources._parquet import ParquetSource
from panollava_hf.jobs.sources._patterns import paths_of
from panollava_hf.jobs.sources._shards import ShardSource
from panollava_hf.jobs.sources._single import SingleSource
from panollava_hf.jobs.sources._text import TextSource

#: What each kind of file is.
_TEXT_KINDS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json"}
_LIST_SUFFIXES = (".txt", ".lst")
_SHARD_SUFFIXES = (".tar", ".tgz", ".tbz2", ".txz", ".tzst")  # compressed ones are refused with advice
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar")
_EXPECTED = (
    "expected a folder of images, a table (.csv, .tsv, .jsonl, .json, .parquet), a list of paths (.txt, .lst), "
    "WebDataset shards (.tar), an image, a URL, or a dataset of the Hub (owner/name)"
)
_DATASET = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_NEAR = 3
#: The split that is used unless another is named.
SPLIT = "train"


def open_source(
    source: str | Path,
    *,
    split: str = SPLIT,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> Source:
    r"""Open the rows of a job.

    Args:
        source: A folder of images, searched with its subfolders; a table (`.csv`, `.tsv`, `.jsonl`, `.json`,
            `.parquet`), or a folder that contains `<split>` as one of these or `metadata.csv` or `metadata.jsonl`; a
            list of paths and URLs, one per line (`.txt`, `.lst`); WebDataset shards (a `.tar` file, a folder of them,
            or a pattern such as `shards-{000..010}.tar` or `shards-*.tar`); an image; a URL; or a dataset of the Hub
            (`owner/name`).
        split: Split of a folder of tables or a dataset.
        columns: Columns that hold something under another name: `image`, `id`, `question`, or any other key of a row.
        limit: Largest number of rows.

    Raises:
        TableError: There is no such source, it has no rows, no column with images, or two rows with the same id. Rows
            that cannot be read are not errors: they have a text in `error`.
        UsageError: `limit`, `columns` or `split` cannot be used with this source.

    Example:
        >>> from pathlib import Path
        >>> from panollava_hf.jobs import open_source
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "rooms.csv").write_text("id,url\nhall,hall.jpg\n")
        >>> open_source(folder / "rooms.csv").ids(0, 1)
        ['hall']
    """
    given = dict(columns or {})
    check_roles(given)
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, got {limit}")
    text = os.fspath(source)
    if not text.strip() or text == "-":
        what = "standard input, which worker processes cannot read" if text == "-" else "an empty name"
        raise TableError(f"the source is {what}; write the paths into a list (.txt) and name that file")
    if is_address(text):
        _refuse_unused(source_name(text), "an image", split, given)
        return _address(text)
    text = os.path.expanduser(text)
    with boundary(TableError, f"{shown_name(text)}: the path cannot be used", "check it"):
        there = os.path.lexists(text)
        mode = os.stat(text).st_mode if there else 0
    if not there:
        return _absent(text, split, given, limit)
    if stat.S_ISDIR(mode):
        return _folder(Path(text), split, given, limit)
    if not stat.S_ISREG(mode):
        raise TableError(f"{shown_name(text)} is not a file; {_EXPECTED}")
    _refuse_unused(shown_name(text), "a single file", split, {})
    return _file(Path(text), given, limit)


def _refuse_unused(name: str, kind: str, split: str, given: Mapping[str, str]) -> None:
    """Refuse a split or columns that the source cannot have; they would be ignored otherwise.

    Raises:
        UsageError: There are some.
    """
    if split != SPLIT:
        raise UsageError(
            f"split {shown(split)}: {name} is {kind}, which has no splits; leave it out, or name the file or folder of "
            "the split"
        )
    if given:
        role, column = next(iter(given.items()))
        raise UsageError(
            f"column {shown_name(role)}={shown_name(column)}: {name} is {kind}, which has no columns; leave it out"
        )


def _address(text: str) -> Source:
    path = text.partition("?")[0].partition("#")[0].lower()
    if path.startswith(("http://", "https://")) and not path.endswith(
        (*_TEXT_KINDS, ".parquet", ".tar", ".tgz", ".gz")
    ):
        return SingleSource(text)
    raise TableError(f"{source_name(text)}: a URL can be an image (http or https); download tables and shards first")


def _file(path: Path, given: Mapping[str, str], limit: int | None) -> Source:
    suffix = path.suffix.lower()
    if suffix in _TEXT_KINDS:
        return TextSource(path, _TEXT_KINDS[suffix], given, limit)
    if suffix == ".parquet":
        return ParquetSource([path], given, limit, shown_name(str(path)))
    if suffix in _SHARD_SUFFIXES:
        return ShardSource([path], given, limit, shown_name(str(path)))
    if suffix in _LIST_SUFFIXES:
        _refuse_unused(shown_name(str(path)), "a list of paths", SPLIT, given)
        return TextSource(path, "list", {}, limit)
    if suffix in IMAGE_SUFFIXES:
        _refuse_unused(shown_name(str(path)), "an image", SPLIT, given)
        return SingleSource(str(path))
    if suffix in _COMPRESSED:
        raise TableError(
            f"{shown_name(str(path))} is compressed; decompress it, and name the file or folder that results"
        )
    kind = f"unknown kind of file {suffix!r}" if suffix else "a file without a suffix"
    raise TableError(f"{shown_name(str(path))}: {kind}; {_EXPECTED}")


def _folder(path: Path, split: str, given: Mapping[str, str], limit: int | None) -> Source:
    table = _table_in(path, split)
    if table is not None:
        return _file(table, given, limit)
    if is_saved(path):
        return open_saved(path, split, given, limit)
    listing = list_images(path)
    if listing.images:
        _refuse_unused(shown_name(str(path)), "a folder of images", split, given)
        return FolderSource(path, listing, limit)
    stored = _parquet_in(path, split)
    if stored:
        return ParquetSource(stored, given, limit, shown_name(str(path)))
    shards = sorted((name for name in os.listdir(path) if _is_shard(name)), key=natural)
    if shards:
        _refuse_unused(shown_name(str(path)), "a folder of shards", split, {})
        return ShardSource([path / name for name in shards], given, limit, shown_name(str(path)))
    names = (name for name in os.listdir(path) if not WRITTEN_BY_CROP.fullmatch(name.lower()))
    tables = sorted(name for name in names if Path(name).suffix.lower() in (*_TEXT_KINDS, ".parquet"))
    hint = f"; its tables are {listed(tables, 20)}: name one of them, or choose another split" if tables else ""
    notes = "".join(f"; {note}" for note in listing.notes()) if not tables else ""
    raise TableError(
        f"{shown_name(str(path))}: the folder contains no images and no {split}.csv, .jsonl or .parquet{hint}{notes}"
    )


def _table_in(folder: Path, split: str) -> Path | None:
    """The table that a folder is read as: its split, or the metadata of an ImageFolder."""
    names = [f"{split}{suffix}" for suffix in (".csv", ".tsv", ".jsonl", ".json", ".parquet")]
    names += [f"{inner}metadata{suffix}" for inner in ("", f"{split}/") for suffix in (".csv", ".jsonl", ".parquet")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _is_shard(name: str) -> bool:
    return name.lower().endswith(".tar") and not is_hidden(name)


def _parquet_in(folder: Path, split: str) -> list[Path]:
    """The Parquet files of a folder: those of a split, as the Hub names them, or all, as a job writes them."""
    for inner in (folder, folder / "data"):
        names = [name for name in os.listdir(inner) if name.endswith(".parquet")] if inner.is_dir() else []
        visible = sorted((name for name in names if not name.startswith(".")), key=natural)
        chosen = [name for name in visible if name.startswith(f"{split}-")]
        if not chosen:
            chosen = [name for name in visible if re.match(r"part-\d", name)]
        if not chosen and not any(re.search(r"-\d+-of-\d+\.parquet$", name) for name in visible):
            chosen = [name for name in visible if re.search(r"\d\.parquet$", name)]
        if chosen:
            return [inner / name for name in chosen]
    return []


def _absent(text: str, split: str, given: Mapping[str, str], limit: int | None) -> Source:
    """A source that is not a file or folder of this machine."""
    shards = paths_of(text)
    if shards:
        suffixes = {path.suffix.lower() for path in shards}
        if suffixes == {".parquet"}:
            return ParquetSource(shards, given, limit, shown_name(text))
        if suffixes <= set(_SHARD_SUFFIXES):
            return ShardSource(shards, given, limit, shown_name(text))
        raise TableError(
            f"{shown_name(text)}: a pattern can name .tar or .parquet files; for images, name their folder"
        )
    is_file = Path(text).suffix.lower() in {*_TEXT_KINDS, *_LIST_SUFFIXES, *IMAGE_SUFFIXES, ".parquet", ".tar"}
    if _DATASET.fullmatch(text) and not is_file and not os.path.lexists(text.partition("/")[0]):
        return open_hub(text, split, given, limit)
    raise TableError(f"{shown_name(text)}: no such file or folder{near(text)}; {_EXPECTED}")


def near(text: str) -> str:
    """The names that are most like one that does not exist, for a message; empty if there are none."""
    folder, name = os.path.split(text.rstrip("/"))
    try:
        names = os.listdir(folder or ".")
    except OSError as error:
        return "" if isinstance(error, FileNotFoundError) else f" ({shown_name(folder)}: {reason(error)})"
    by_fold = {text_of(name).casefold(): text_of(name) for name in names[:10_000] if not name.startswith(".")}
    found = [by_fold[fold] for fold in difflib.get_close_matches(text_of(name).casefold(), by_fold, _NEAR, 0.75)]
    return f"; did you mean {' or '.join(shown_name(os.path.join(folder, one)) for one in found)}?" if found else ""
