"""Which panoramas a path stands for, and the folder of views for each. Does not import torch."""

import tempfile
import urllib.parse
from pathlib import Path, PurePosixPath

from panollava_geometry._errors import PanoramaError
from panollava_geometry._source import check_path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})


def find_sources(source: str) -> list[str]:
    """The panoramas that a path or URL stands for: itself, or the images directly in a folder, sorted by name.

    Raises:
        PanoramaError: The path does not exist, or the folder contains no images.
    """
    if "://" in source:
        return [source]
    check_path(source)
    if not Path(source).is_dir():
        return [source]
    found = sorted(str(path) for path in Path(source).iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise PanoramaError(f"{source}: the folder contains no images ({', '.join(sorted(SUFFIXES))})")
    return found


def output_folders(sources: list[str], output: Path) -> dict[str, Path]:
    """A folder for every source, named after its stem, or after its full name where two stems are equal."""
    names = [PurePosixPath(urllib.parse.urlsplit(s).path).name if "://" in s else Path(s).name for s in sources]
    stems = [Path(name).stem or "panorama" for name in names]
    folders = {}
    for source, name, stem in zip(sources, names, stems, strict=True):
        folders[source] = output / (stem if stems.count(stem) == 1 else name)
    return folders


def read_plan_file(path: Path) -> str:
    """The text of a plan file.

    Raises:
        PanoramaError: The file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PanoramaError(f"{path}: the plan cannot be read ({error}); check the path") from error


def check_writable(folder: Path) -> None:
    """Check that a folder can be written, or made where it does not exist yet. Nothing is left behind.

    A file is created for a moment, because permissions alone do not tell: `/proc` and full or read-only file systems
    refuse it to everyone.

    Raises:
        PanoramaError: The folder, or its nearest existing parent, is a file or cannot be written.
    """
    try:
        existing = folder.absolute()
        while not _exists(existing):
            existing = existing.parent
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is not a folder")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PanoramaError(f"{folder}: this folder cannot be written ({reason}); choose another one") from error


def _exists(path: Path) -> bool:
    """Whether something has this name, also a broken link. `Path.exists` says no to names that cannot exist."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
