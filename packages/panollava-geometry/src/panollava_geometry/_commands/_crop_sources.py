"""Which panoramas a path stands for, and the folder of views for each. Does not import torch."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from panollava_geometry._errors import PanoramaError
from panollava_geometry._sources._address import is_address, read_address, shown_address
from panollava_geometry._sources._formats import SUFFIXES
from panollava_geometry._sources._source import check_path

#: Files that systems put into folders. Names that begin with a dot are of this kind, too.
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
_LISTED = 3


def is_hidden(name: str) -> bool:
    """Whether a file is hidden, or one that systems put into folders: never a panorama.

    Example:
        >>> from panollava_geometry.addresses import is_hidden
        >>> is_hidden("._pano.jpg"), is_hidden("Thumbs.db"), is_hidden("pano.jpg")
        (True, True, False)
    """
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


@dataclass(frozen=True)
class Sources:
    """Panoramas, and what else was in their folder.

    Attributes:
        paths: Paths or URLs of the panoramas.
        skipped_files: Names of the files that are not images.
        skipped_folders: Number of folders in the folder.
    """

    paths: list[str]
    skipped_files: tuple[str, ...] = ()
    skipped_folders: int = 0

    def skipped(self) -> str:
        """What was skipped, as one line; empty if nothing was.

        Example:
            >>> Sources([], ("a.pdf", "b.mp4", "c.txt", "d.txt"), 1).skipped()
            '4 files skipped: a.pdf, b.mp4, c.txt … and 1 more; 1 folder skipped'
        """
        parts = []
        if self.skipped_files:
            count, rest = len(self.skipped_files), len(self.skipped_files) - _LISTED
            names = ", ".join(self.skipped_files[:_LISTED]) + (f" … and {rest} more" if rest > 0 else "")
            parts.append(f"{count} file{'s' * (count != 1)} skipped: {names}")
        if self.skipped_folders:
            parts.append(f"{self.skipped_folders} folder{'s' * (self.skipped_folders != 1)} skipped")
        return "; ".join(parts)


def find_sources(source: str) -> Sources:
    """The panoramas that a path or URL stands for: itself, or the images directly in a folder, sorted by name.

    Hidden files, such as the companions `._NAME` that macOS writes, are ignored.

    Raises:
        PanoramaError: The path does not exist, or the folder cannot be read or contains no images.
    """
    if is_address(source):
        return Sources([source])
    check_path(source)
    if not Path(source).is_dir():
        return Sources([source])
    try:
        entries = sorted(Path(source).iterdir())
    except OSError as error:
        raise PanoramaError(f"{source}: the folder cannot be read ({error.strerror or error})") from error
    visible = [path for path in entries if not is_hidden(path.name)]
    images = [path for path in visible if path.suffix.lower() in SUFFIXES and path.is_file()]
    folders = [path for path in visible if path.is_dir()]
    others = tuple(path.name for path in visible if path not in {*images, *folders})
    found = Sources([str(path) for path in images], others, len(folders))
    if not images:
        skipped = found.skipped()
        raise PanoramaError(
            f"{source}: the folder contains no images (files such as .jpg, .png, .webp, .tif directly in it)"
            + (f"; {skipped}" if skipped else "")
        )
    return found


def output_folders(sources: list[str], output: Path) -> dict[str, Path]:
    """A folder for every source, named after its stem, or after its full name where two stems are equal.

    Names that differ only in case or in their Unicode form are equal: many file systems do not distinguish them.

    Raises:
        PanoramaError: A URL is invalid.
    """
    names = [read_address(s, shown_address(s)).file_name if is_address(s) else Path(s).name for s in sources]
    names = [name if name.strip(".") else "panorama" for name in names]
    stems = [Path(name).stem if Path(name).stem.strip(".") else "panorama" for name in names]
    counts = Counter(map(_key, stems))
    taken = {key for key, count in counts.items() if count == 1}
    folders = {}
    for source, name, stem in zip(sources, names, stems, strict=True):
        folders[source] = output / (stem if counts[_key(stem)] == 1 else _free(name, taken))
    return folders


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where it is taken. It is taken afterwards."""
    candidate, number = name, 1
    while _key(candidate) in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(_key(candidate))
    return candidate


def _key(name: str) -> str:
    """What two names have in common that a file system may not distinguish."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def read_plan_file(path: Path) -> str:
    """The text of a plan file.

    Raises:
        PanoramaError: The file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PanoramaError(f"{path}: the plan cannot be read ({reason}); check the path") from error
