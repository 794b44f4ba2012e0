"""Samples in tar archives: their members are found by the headers, and nothing is ever extracted to a disk.

Members with the same name up to the first dot belong to one sample, if they follow each other, as in WebDataset.
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panollava_hf._errors import TableError, boundary
from panollava_hf.jobs.sources._names import shown_name, text_of

#: Most bytes of a header with its extensions (long names), so that a damaged length is not read into memory.
_MAX_HEADER = 2**20
_BLOCK = 512
#: How compressed files begin, and what undoes it.
_COMPRESSED = (
    (b"\x1f\x8b", "gunzip"),
    (b"BZh", "bunzip2"),
    (b"\xfd7zXZ\x00", "unxz"),
    (b"\x28\xb5\x2f\xfd", "unzstd"),
)


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        suffix: Its name after the first dot, in lower case.
        name: Its whole name.
        start: Where its bytes begin.
        size: Their number.
        problem: Why it cannot be read; empty if it can.
    """

    suffix: str
    name: str
    start: int
    size: int
    problem: str = ""


@dataclass
class Sample:
    """Members that belong together.

    Attributes:
        place: Where the header of the first one begins.
        key: Their name up to the first dot.
        members: The members.
        problem: What is wrong with the archive from here on; empty in a sample.
    """

    place: int
    key: str
    members: list[Member] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True)
class _Entry:
    """What a header says.

    Attributes:
        name: The member's name.
        size: Its bytes in the archive.
        problem: Why it cannot be read; empty if it can.
        is_folder: Whether it is a folder.
    """

    name: str
    size: int
    problem: str = ""
    is_folder: bool = False


class _Headers:
    """A file of which `tarfile` reads headers only.

    Args:
        stream: The file.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.tell, self.seek, self.close = stream.tell, stream.seek, stream.close

    def read(self, count: int) -> bytes:
        """Some bytes.

        Raises:
            ReadError: They are more than a header has.
        """
        if not 0 <= count <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {count} bytes")
        data: bytes = self._stream.read(count)
        return data


def samples_in(path: Path, place: int = 0) -> Iterator[Sample]:
    """The samples of an archive from a place on; a damaged archive ends with a sample that says so.

    Args:
        path: The archive.
        place: Where a sample begins.

    Raises:
        TableError: The file cannot be opened.
    """
    with boundary(TableError, f"{shown_name(str(path))} cannot be opened", "check the path"):
        stream = path.open("rb")
    with stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        start = stream.read(8)
        for magic, tool in _COMPRESSED:
            if start.startswith(magic):
                yield Sample(0, "", problem=f"it is compressed; make it a .tar with `{tool}` first")
                return
        if not size:
            yield Sample(0, "", problem="it is empty; make or fetch it again")
            return
        stream.seek(place)
        yield from _grouped(stream, size)


def _grouped(stream: Any, size: int) -> Iterator[Sample]:
    sample: Sample | None = None
    for entry in _members(stream, size):
        if isinstance(entry, str):
            if sample is not None:
                yield sample
            yield Sample(stream.tell(), "", problem=entry)
            return
        place, key, member = entry
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = Sample(place, key)
        sample.members.append(member)
    if sample is not None:
        yield sample


def _members(stream: Any, size: int) -> Iterator[tuple[int, str, Member] | str]:
    """The members of an archive with place and key; at last what is wrong, if it is damaged."""
    place = stream.tell()
    while True:
        if place > size:
            yield "it is cut off; make or fetch it again"
            return
        stream.seek(place)
        header = stream.read(_BLOCK)
        if not header.strip(b"\0"):  # the end, or an archive without a mark for it
            return
        plain = _plain_header(header)
        try:
            entry, after = (plain, place + _BLOCK) if plain is not None else _other_header(stream, place)
        except TableError as error:
            yield f"byte {place}: {error}"
            return
        data = after if plain is not None else after - _blocks(entry.size)
        following = data + _blocks(entry.size)
        if following <= place:
            yield f"it is damaged at byte {place}: a member of negative size"
            return
        folder, slash, name = entry.name.rpartition("/")
        key, dot, suffix = name.partition(".")
        if key and dot and not entry.is_folder:
            problem = entry.problem or ("the archive ends within it" if data + entry.size > size else "")
            member = Member(suffix.lower(), text_of(entry.name), data, entry.size, problem)
            yield place, text_of(folder + slash + key), member
        place = following


def _blocks(size: int) -> int:
    """The bytes that a member takes in the archive."""
    return (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _plain_header(header: bytes) -> _Entry | None:
    """What the header of an ordinary file says; None for all others. `tarfile` needs five times as long."""
    digits = header[124:136].strip(b"\0 ")
    checksum = header[148:156].strip(b"\0 ")
    if len(header) != _BLOCK or header[156:157] not in (b"0", b"\0") or not digits.isdigit() or not checksum.isdigit():
        return None
    try:
        size, expected = int(digits, 8), int(checksum, 8)
    except ValueError:
        return None
    if sum(header) - sum(header[148:156]) + 8 * 32 != expected:
        return None
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0" and header[345] != 0:
        name = header[345:500].partition(b"\0")[0] + b"/" + name
    return None if name.endswith(b"/") else _Entry(os.fsdecode(name), size)


def _other_header(stream: Any, place: int) -> tuple[_Entry, int]:
    """What a header with extensions says, or that of something other than a file; and where the next one begins.

    Raises:
        TableError: It is damaged.
    """
    stream.seek(place)
    with boundary(TableError, "it is damaged", "make or fetch it again"):
        archive = tarfile.TarFile(fileobj=_Headers(stream))  # type: ignore[arg-type]  # it needs no more of a file
        info = archive.next()
    if info is None:
        raise TableError("it is damaged; make or fetch it again")
    problem = ""
    if not info.isreg() or info.issparse():
        problem = "it is a link, not a file" if info.issym() or info.islnk() else "it is not a plain file"
    size = info.size if info.isreg() and not info.issparse() else max(0, archive.offset - info.offset_data)
    return _Entry(info.name, size, problem, info.isdir()), archive.offset
