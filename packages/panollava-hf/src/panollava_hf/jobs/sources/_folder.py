"""A folder of images, with its subfolders."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panollava_geometry.addresses import IMAGE_SUFFIXES, is_hidden

from panollava_hf._errors import TableError, reason
from panollava_hf._shown import listed
from panollava_hf.jobs.sources._names import Names, shown_name, text_of

#: Folders that systems put into folders; the images in them are thumbnails or companions.
_SYSTEM_FOLDERS = frozenset({"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found"})
#: Files that `crop` writes into the folder of a panorama: its views are not panoramas.
WRITTEN_BY_CROP = re.compile(r"view_\d+\.(png|jpg)|footprint\.jpg|plan\.json")
#: Files that a note names.
_LISTED = 3
_DIGITS = re.compile(r"(\d+)")


@dataclass
class Listing:
    """What is in a folder.

    Attributes:
        images: Paths of the images, relative to the folder, with "/", in natural order.
        others: The first of the other files, and their number.
        links: Links to folders, which are not followed.
        unreadable: Folders that cannot be read.
        views: Folders with views that `crop` has written.
    """

    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    other_count: int = 0
    links: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    views: list[str] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """One line for each kind of what was left out."""
        lines = []
        if self.other_count:
            files = "file is not an image" if self.other_count == 1 else "files are not images"
            lines.append(f"{self.other_count} {files}: {listed(self.others, _LISTED, total=self.other_count)}")
        if self.links:
            links = "1 link to a folder was" if len(self.links) == 1 else f"{len(self.links)} links to folders were"
            lines.append(f"{links} not followed: {listed(self.links, _LISTED)}")
        if self.unreadable:
            folders = "1 folder" if len(self.unreadable) == 1 else f"{len(self.unreadable)} folders"
            lines.append(f"{folders} cannot be read: {listed(self.unreadable, _LISTED)}")
        if self.views:
            folders = "1 folder" if len(self.views) == 1 else f"{len(self.views)} folders"
            lines.append(f"views in {folders} were cut by crop, and are not panoramas: {listed(self.views, _LISTED)}")
        return tuple(lines)


def list_images(folder: Path) -> Listing:
    """The images in a folder and its subfolders.

    Hidden files and folders are ignored, and so are the views that `crop` has written, next to its plan.json. Links to
    files are images like others, wherever they lead; links to folders are not followed: an image would be there twice,
    or the search would not end.

    Raises:
        TableError: The folder itself cannot be read.
    """
    found = Listing()
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, inner)) as entries:
                waiting.extend(_sort(entries, folder, inner, found))
        except OSError as error:
            if not inner:
                raise TableError(f"{shown_name(str(folder))}: the folder cannot be read ({reason(error)})") from error
            found.unreadable.append(text_of(inner.rstrip("/")))
    found.images.sort(key=natural)
    found.others.sort(key=natural)
    found.views.sort(key=natural)
    return found


def _sort(entries: Iterator[os.DirEntry[str]], folder: Path, inner: str, found: Listing) -> Iterator[str]:
    """Put the entries of a folder where they belong, and give the folders among them."""
    is_cut = os.path.isfile(os.path.join(folder, inner, "plan.json"))
    if is_cut:
        found.views.append(text_of(inner.rstrip("/")) or ".")
    for entry in entries:
        name = entry.name
        if is_hidden(name) or (is_cut and WRITTEN_BY_CROP.fullmatch(name.lower())):
            continue
        if entry.is_dir(follow_symlinks=False):
            if name.lower() not in _SYSTEM_FOLDERS:
                yield f"{inner}{name}/"
        elif os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and _is_image_file(entry):
            found.images.append(inner + name)
        elif entry.is_symlink() and os.path.isdir(entry.path):
            found.links.append(text_of(inner + name))
        else:
            found.other_count += 1
            if found.other_count <= _LISTED:
                found.others.append(text_of(inner + name))


def _is_image_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file or a link to one. A broken link counts: its row has the error."""
    if not entry.is_symlink():
        return entry.is_file()
    try:
        return stat.S_ISREG(os.stat(entry.path).st_mode)
    except OSError:
        return True


def natural(name: str) -> tuple[Any, ...]:
    """A key that sorts numbers in names by their value; equal keys are ordered by the name.

    Example:
        >>> sorted(["b10.jpg", "b9.jpg", "B1.jpg", "a/c.jpg"], key=natural)
        ['a/c.jpg', 'B1.jpg', 'b9.jpg', 'b10.jpg']
    """
    parts = _DIGITS.split(name.casefold())
    numbers = [(int(part) if len(part) < 300 else 0) if index % 2 else part for index, part in enumerate(parts)]
    return numbers, name


class FolderSource:
    """The images in a folder, see `list_images`; ids are their paths relative to the folder, with "/".

    Args:
        folder: The folder.
        listing: What is in it.
        limit: Largest number of images.
    """

    def __init__(self, folder: Path, listing: Listing, limit: int | None = None) -> None:
        self.name = shown_name(str(folder))
        self.notes = listing.notes()
        self._folder = os.path.abspath(folder)
        self._names = Names(listing.images[:limit])

    def __len__(self) -> int:
        return len(self._names)

    def fingerprint(self) -> str:
        """A hash of the ids in order."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            digest.update(text_of(self._names[index]).encode() + b"\n")
        return digest.hexdigest()

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of some rows."""
        return [text_of(self._names[index]) for index in range(start, min(stop, len(self)))]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """Some rows: `id`, `path` and `image`."""
        found: list[Mapping[str, Any]] = []
        for index in range(start, min(stop, len(self))):
            name = self._names[index]
            path = os.path.join(self._folder, name)
            found.append({"id": text_of(name), "path": text_of(path), "image": path})
        return found
