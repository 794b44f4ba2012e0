"""The finished output: one file of all parts, or a folder of them. It gets its name when it is complete."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from panollava_hf._files import sync
from panollava_hf.jobs._manifest import Manifest
from panollava_hf.jobs._parts import PartWork, cannot_write
from panollava_hf.jobs._place import MANIFEST, Place
from panollava_hf.jobs._summary import Summary
from panollava_hf.jobs._work import Part


def finish(place: Place, work: PartWork, parts: Sequence[Part], manifest: Manifest, summary: Summary) -> None:
    """Write the output from its parts, then its manifest, then remove the parts. It can be killed at any moment.

    Raises:
        JobError: A file cannot be written, or a part is damaged.
    """
    place.clear_staged()
    files = [work.path_of(part) for part in parts]
    try:
        if place.is_folder:
            _folder(place, files, manifest.complete(summary.to_dict(), None))
        else:
            _file(place, work, files)
            size = place.output.stat().st_size
            manifest.complete(summary.to_dict(), size).write(place.manifest)
    except OSError as error:
        raise cannot_write(place.shown, error) from error
    place.remove_parts()


def _file(place: Place, work: PartWork, files: Sequence[Path]) -> None:
    try:
        work.sink.merge(files, place.staged, work.job.schema)
        if place.output.exists():
            place.staged.chmod(place.output.stat().st_mode & 0o777)
        os.replace(place.staged, place.output)
        sync(place.output.parent)
    finally:
        place.staged.unlink(missing_ok=True)


def _folder(place: Place, files: Sequence[Path], manifest: Manifest) -> None:
    """The parts under names without a tag; they are links, because the originals are needed again if this is killed."""
    place.staged.mkdir()
    for index, path in enumerate(files):
        target = place.staged / f"part-{index:06d}{place.sink.suffix}"
        try:
            os.link(path, target)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(path, target)
            sync(target)
    manifest.write(place.staged / MANIFEST)
    sync(place.staged)
    if place.output.exists():
        place.check_replaceable()
        os.rename(place.output, place.replaced)
    os.rename(place.staged, place.output)
    sync(place.output.parent)
    place.clear_staged()
