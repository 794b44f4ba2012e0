"""The folder that holds the results of one panorama: exactly the files that its plan.json describes."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from panollava_geometry._errors import PanoramaError

PLAN_NAME, FOOTPRINT_NAME = "plan.json", "footprint.jpg"
_VIEW_NAME = re.compile(r"view_\d{2,}\.(png|jpg)")
#: In every plan.json that this package wrote.
_PLAN_MARK = "panollava-view-plan"


@contextmanager
def replaced_files(folder: Path, names: list[str]) -> Iterator[Path]:
    """Write files in a temporary folder; they replace those of an earlier run when the block ends without an error.

    A new folder appears with all its files. In an existing folder, the views of the earlier run are removed. plan.json
    is removed first and written last, so that it never describes other views than those in the folder. Files that
    this package did not write stay.

    Args:
        folder: The folder, made if it does not exist.
        names: Names of the files that the block writes, in the order in which they appear.

    Yields:
        An empty folder for the files.

    Raises:
        PanoramaError: The folder contains views without a plan.json, which this package did not write.
        OSError: The folder cannot be written.
    """
    check_views_are_ours(folder, names)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".crop-") as scratch:
        staged = Path(scratch) / "folder"  # a child: the folder of `tempfile` ignores the umask
        staged.mkdir()
        yield staged
        if not os.path.lexists(folder):
            os.replace(staged, folder)
            return
        (folder / PLAN_NAME).unlink(missing_ok=True)
        for old in views_in(folder):
            if old.name not in names:
                old.unlink()
        for name in names:
            os.replace(staged / name, folder / name)


def views_in(folder: Path) -> list[Path]:
    """The files of a folder that are named like views."""
    return sorted(path for path in folder.iterdir() if _VIEW_NAME.fullmatch(path.name) and not path.is_dir())


def check_views_are_ours(folder: Path, names: list[str]) -> None:
    """Check that the views in a folder, which a new run would remove, are from an earlier run.

    Raises:
        PanoramaError: They are not.
    """
    if not folder.is_dir():
        return
    others = [path.name for path in views_in(folder) if path.name not in names]
    if others and not _is_plan(folder / PLAN_NAME):
        raise PanoramaError(
            f"{folder}: this folder contains {others[0]}, but no plan.json of an earlier run; choose another folder"
        )


def _is_plan(path: Path) -> bool:
    return path.is_file() and _PLAN_MARK in path.read_text(encoding="utf-8", errors="replace")


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
