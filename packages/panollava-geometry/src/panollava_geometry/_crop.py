"""Cut panoramas on disk into views on disk; files appear whole or not at all."""

import os
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from PIL import Image

from panollava_geometry._draw import draw_footprints
from panollava_geometry._errors import PanoramaError
from panollava_geometry._io import load_equirectangular, load_views
from panollava_geometry._plan import ViewPlan
from panollava_geometry._sizes import Size

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
Format = Literal["png", "jpeg"]
_FOOTPRINT_WIDTH = 1600


def find_sources(source: str) -> list[str]:
    """The panoramas a path or URL stands for: itself, or the pictures directly in a folder, by name.

    Raises:
        PanoramaError: The folder holds no picture.
    """
    if "://" in source or not Path(source).is_dir():
        return [source]
    found = sorted(str(path) for path in Path(source).iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise PanoramaError(f"{source}: the folder holds no picture ({', '.join(sorted(SUFFIXES))})")
    return found


def output_folders(sources: list[str], output: Path) -> dict[str, Path]:
    """A folder for every source, named by its stem, or by its whole name where two stems are alike."""
    names = [PurePosixPath(urllib.parse.urlsplit(s).path).name if "://" in s else Path(s).name for s in sources]
    stems = [Path(name).stem or "panorama" for name in names]
    folders = {}
    for source, name, stem in zip(sources, names, stems, strict=True):
        folders[source] = output / (stem if stems.count(stem) == 1 else name)
    return folders


def crop_file(source: str, folder: Path, plan: ViewPlan, size: Size, picture_format: Format = "png") -> list[Path]:
    """Write the views, the plan and the footprint picture of one panorama into a folder.

    Raises:
        PanoramaError: The panorama cannot be read, or the folder not be written.
    """
    views = load_views(source, plan, size)
    footprint = draw_footprints(load_equirectangular(source, max_width=_FOOTPRINT_WIDTH), plan)
    suffix, options = (".jpg", {"quality": 95}) if picture_format == "jpeg" else (".png", {"compress_level": 3})
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, view in enumerate(views):
            picture = Image.fromarray(view.permute(1, 2, 0).numpy())
            written.append(_save(picture, folder / f"view_{index:02d}{suffix}", picture_format, **options))
        written.append(_save(footprint, folder / "footprint.jpg", "jpeg", quality=90))
        written.append(_write(folder / "plan.json", lambda file: file.write(plan.to_json().encode() + b"\n")))
    except OSError as error:
        raise PanoramaError(f"{folder}: cannot be written ({error}); check the output folder") from error
    return written


def crop_files(
    folders: dict[str, Path], plan: ViewPlan, size: Size, picture_format: Format = "png", workers: int | None = None
) -> Iterator[tuple[str, PanoramaError | None]]:
    """Crop many panoramas side by side; gives every source as it is done, with what went wrong if something did."""
    workers = workers or min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        jobs = {
            pool.submit(crop_file, source, folder, plan, size, picture_format): source
            for source, folder in folders.items()
        }
        try:
            for job in as_completed(jobs):
                error = job.exception()
                if error is not None and not isinstance(error, PanoramaError):
                    raise error
                yield jobs[job], error
        finally:
            pool.shutdown(cancel_futures=True)


def _save(picture: Image.Image, path: Path, picture_format: str, **options: int) -> Path:
    return _write(path, lambda file: picture.save(file, picture_format, **options))


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a temporary sibling, then put it in place."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            write(file)
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return path
