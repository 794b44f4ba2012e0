"""Cut panorama files into view files. A file is written completely or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO, Literal

from PIL import Image

from panollava_geometry._drawing import draw_footprints
from panollava_geometry._errors import PanoramaError
from panollava_geometry._loading import load_equirectangular, load_views
from panollava_geometry._plan import ViewPlan
from panollava_geometry._sizes import Size

Format = Literal["png", "jpeg"]
_FOOTPRINT_WIDTH = 1600


def crop_file(source: str, folder: Path, plan: ViewPlan, size: Size, image_format: Format = "png") -> list[Path]:
    """Write the views, the plan and the footprint image of one panorama into a folder.

    Returns:
        The files that were written.

    Raises:
        PanoramaError: The panorama cannot be read, or the folder cannot be written.
    """
    views = load_views(source, plan, size)
    footprint = draw_footprints(load_equirectangular(source, max_width=_FOOTPRINT_WIDTH), plan)
    suffix, options = (".jpg", {"quality": 95}) if image_format == "jpeg" else (".png", {"compress_level": 3})
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, view in enumerate(views):
            image = Image.fromarray(view.permute(1, 2, 0).numpy())
            written.append(_save(image, folder / f"view_{index:02d}{suffix}", image_format, **options))
        written.append(_save(footprint, folder / "footprint.jpg", "jpeg", quality=90))
        written.append(_write(folder / "plan.json", lambda file: file.write(plan.to_json().encode() + b"\n")))
    except OSError as error:
        raise PanoramaError(f"{folder}: cannot be written ({error}); check the output folder") from error
    return written


def crop_files(
    folders: dict[str, Path], plan: ViewPlan, size: Size, image_format: Format = "png", workers: int | None = None
) -> Iterator[tuple[str, PanoramaError | None]]:
    """Crop several panoramas in parallel.

    Args:
        folders: The output folder of every source.
        plan: The views.
        size: Height and width of every view in pixels, or one number for both.
        image_format: File format of the views.
        workers: Panoramas processed at the same time. Default: up to 4.

    Yields:
        Every source when it is done, with its error or None.
    """
    workers = workers or min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        jobs = {
            pool.submit(crop_file, source, folder, plan, size, image_format): source
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


def _save(image: Image.Image, path: Path, image_format: str, **options: int) -> Path:
    return _write(path, lambda file: image.save(file, image_format, **options))


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a temporary file in the same folder, then rename it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            write(file)
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return path
