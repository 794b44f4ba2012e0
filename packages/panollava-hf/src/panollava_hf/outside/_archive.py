"""The zip archive of torch.save, checked before anything in it is read."""

import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from panollava_hf._errors import CheckpointError, boundary
from panollava_hf._shown import shown

#: Largest table of contents, data.pkl and other entry that is not tensor data, in bytes.
MAX_CONTENTS, MAX_PICKLE, MAX_ENTRY = 2**24, 2**26, 4096
#: Bits of an entry's flags that change nothing here: compression level, sizes after the data, names in UTF-8.
HARMLESS_FLAGS = 0x0006 | 0x0008 | 0x0800
DAMAGED = "it is damaged or was cut off while it was copied"
#: Length and beginning of the record at the end of an archive.
END, END_MARK = 22, b"PK\x05\x06"


@dataclass(frozen=True)
class Archive:
    """What a checkpoint's archive contains.

    Attributes:
        pickle: Its data.pkl.
        storages: Sizes in bytes of the stored tensors, by their key.
        size: Size of the file in bytes.
    """

    pickle: bytes
    storages: Mapping[str, int]
    size: int


class _Bounded:
    """A stream that never reads much at once: a zip archive's table of contents can be of any length."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream, self.limit = stream, limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, size: int = -1) -> bytes:
        if size > self.limit:
            raise CheckpointError(f"its table of contents has {size:,} bytes, expected at most {self.limit:,}")
        return self._stream.read(size)


def read_archive(path: Path) -> Archive:
    """Read a checkpoint's pickle and the sizes of its tensors.

    Args:
        path: A file that begins like a zip archive.

    Raises:
        CheckpointError: It is damaged, encrypted, compressed, or not an archive of torch.save.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - END))
        end = file.read()
        if not end.startswith(END_MARK):
            raise CheckpointError(f"{DAMAGED} (the archive has no end); copy it again")
        stream = _Bounded(file, MAX_CONTENTS)
        with _damaged():
            archive = zipfile.ZipFile(stream)
        # PyTorch reads the archive again with a library of its own, which must find the same entries.
        if int.from_bytes(end[16:20], "little") not in (0xFFFFFFFF, archive.start_dir):
            raise CheckpointError(f"{DAMAGED} (other data precedes the archive); copy it again")
        root, entries = _entries(archive, size)
        stream.limit = MAX_PICKLE
        with _damaged():
            order = archive.read(f"{root}byteorder") if f"{root}byteorder" in entries else b"little"
            pickle = archive.read(f"{root}data.pkl")
    if order != b"little":
        raise CheckpointError("written on a big-endian machine: load it there with torch and save it again")
    prefix = f"{root}data/"
    sizes = {name.removeprefix(prefix): e.file_size for name, e in entries.items() if name.startswith(prefix)}
    return Archive(pickle, sizes, size)


def _damaged() -> AbstractContextManager[None]:
    return boundary(CheckpointError, DAMAGED, "copy it again")


def _entries(archive: zipfile.ZipFile, size: int) -> tuple[str, dict[str, zipfile.ZipInfo]]:
    """The archive's top folder and its entries by name, all of them stored as torch.save stores them."""
    listed = archive.infolist()
    entries = {entry.filename: entry for entry in listed}
    roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1 or len({name.casefold() for name in entries}) != len(listed):
        raise CheckpointError("not a Lightning checkpoint: it is a zip archive without the data.pkl of torch.save")
    for name, entry in entries.items():
        # torch maps the file, so it would read compressed bytes as numbers.
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise CheckpointError(f"{shown(name)} is compressed or encrypted, which torch.save never does")
        if entry.flag_bits & ~HARMLESS_FLAGS:
            raise CheckpointError(f"{shown(name)} is compressed or encrypted, which torch.save never does")
        if entry.orig_filename != name or entry.header_offset + entry.file_size > size:
            raise CheckpointError(f"its entry {shown(name)} is damaged; copy the file again")
        limit = MAX_PICKLE if name == f"{roots[0]}data.pkl" else MAX_ENTRY
        if entry.file_size > limit and not name.startswith(f"{roots[0]}data/"):
            raise CheckpointError(f"{shown(name)} has {entry.file_size:,} bytes, expected at most {limit:,}")
    return roots[0], entries
