"""Cut panorama files into view files. The output folder of a panorama is written completely or not at all."""

import os
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from panollava_geometry._arrays._sizes import Size, size_pair
from panollava_geometry._commands._output_folder import FOOTPRINT_NAME, PLAN_NAME, check_views_are_ours, replaced_files
from panollava_geometry._drawing._drawing import draw_footprints
from panollava_geometry._errors import PanoramaError
from panollava_geometry._files._loading import Source, load_equirectangular, load_panorama, sufficient_width
from panollava_geometry._files._pose import Pose, check_pose
from panollava_geometry._files._saving import encode_with_gpano, window_gpano
from panollava_geometry._metadata._layout import Layout
from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._planning._view_sizes import native_sizes
from panollava_geometry._projections._extraction import extract_views
from panollava_geometry._views._equirectangular_view import EquirectangularView
from panollava_geometry._views._views import View

Format = Literal["png", "jpeg"]
_FOOTPRINT_SIZE = (1600, 800)
#: The widest panorama that is decoded for `size=None`: the loader's limit of pixels.
_MAX_WIDTH = 18_918
_LARGE_PIXELS = 2**20
_one_large_view = threading.Lock()


class Cancelled(Exception):
    """The program is ending: a panorama that is being processed is given up."""


def crop_file(
    source: Source,
    folder: Path,
    plan: ViewPlan,
    size: Size | None,
    image_format: Format = "png",
    *,
    options: Mapping[str, Any] | None = None,
    cancelled: threading.Event | None = None,
) -> list[Path]:
    """Write the views, the plan and the footprint image of one panorama into a folder. The source is read once.

    Args:
        source: The panorama, as in `load_equirectangular`.
        folder: The folder, made if it does not exist. The files of an earlier run are replaced, all others stay.
        plan: The views.
        size: Height and width of every view in pixels, or one number for both. None: the panorama's own resolution.
        image_format: File format of the views.
        options: Further arguments of `load_equirectangular`.
        cancelled: Checked between the views.

    Returns:
        The files that were written.

    Raises:
        PanoramaError: The panorama cannot be read, or the folder cannot be written.
        Cancelled: `cancelled` was set. The folder is as before.
    """
    suffix, quality = (".jpg", {"quality": 95}) if image_format == "jpeg" else (".png", {"compress_level": 3})
    view_names = [f"view_{index:02d}{suffix}" for index in range(len(plan))]
    names = [*view_names, FOOTPRINT_NAME, PLAN_NAME]
    with _writing(folder):
        check_views_are_ours(folder, names)
    erp = _decode(source, plan, size, options or {})
    sizes = native_sizes(plan, erp.shape[2]) if size is None else [size] * len(plan)
    with _writing(folder), replaced_files(folder, names) as staged:
        for name, view, side in zip(view_names, plan, sizes, strict=True):
            if cancelled is not None and cancelled.is_set():
                raise Cancelled
            pixels = _view(erp, view, side)
            image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
            gpano = window_gpano(view, image.size[::-1]) if isinstance(view, EquirectangularView) else None
            if gpano is None:
                _save(image, staged / name, image_format, **quality)
            else:  # an image of longitudes and latitudes says which ones it shows
                (staged / name).write_bytes(encode_with_gpano(image, image_format.upper(), gpano, **quality))
        _save(draw_footprints(_resized(erp), plan), staged / FOOTPRINT_NAME, "jpeg", quality=90)
        (staged / PLAN_NAME).write_text(plan.to_json() + "\n", encoding="utf-8")
    return [folder / name for name in names]


def crop_files(
    folders: dict[str, Path],
    plan: ViewPlan,
    size: Size | None,
    image_format: Format = "png",
    workers: int | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    complete: list[str] | None = None,
) -> Generator[tuple[str, PanoramaError | None]]:
    """Crop several panoramas in parallel.

    Args:
        folders: The output folder of every source.
        plan: The views.
        size: As in `crop_file`.
        image_format: File format of the views.
        workers: Panoramas processed at the same time. Default: up to 4.
        options: Further arguments of `load_equirectangular`.
        complete: Receives every source whose folder is complete, also while the program is being interrupted.

    Yields:
        Every source when it is done, with its error or None.
    """
    workers = workers or min(4, os.cpu_count() or 1)
    cancelled = threading.Event()

    def job(source: str, folder: Path) -> None:
        crop_file(source, folder, plan, size, image_format, options=options, cancelled=cancelled)
        if complete is not None:
            complete.append(source)

    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(job, source, folder): source for source, folder in folders.items()}
        try:
            for finished in as_completed(jobs):
                error = finished.exception()
                if error is not None and not isinstance(error, PanoramaError):
                    raise error
                yield jobs[finished], error
        finally:
            cancelled.set()
            pool.shutdown(cancel_futures=True)


def _decode(source: Source, plan: ViewPlan, size: Size | None, options: Mapping[str, Any]) -> Tensor:
    """The panorama `[3, H, 2H]`, decoded no finer than the views need, as in `load_views`."""
    if size is None:
        erp: Tensor = load_equirectangular(source, max_width=_MAX_WIDTH, **options)
        return erp
    layout = Layout(**{name: value for name, value in options.items() if name != "pose"})
    pose: Pose | None = options.get("pose")
    check_pose(pose)
    panorama, _, _ = load_panorama(source, sufficient_width(plan, size), layout, pose)
    return torch.from_numpy(panorama).permute(2, 0, 1)


def _view(erp: Tensor, view: View, size: Size) -> Tensor:
    """One view. Of the large ones, a single one is computed at a time: they take up to 2 GB each."""
    height, width = size_pair(size)
    if view == EquirectangularView() and (height, width) == tuple(erp.shape[1:]):
        return erp
    with _one_large_view if height * width > _LARGE_PIXELS else nullcontext():
        try:
            view_of_erp: Tensor = extract_views(erp, view, (height, width))[0]
        except MemoryError as error:
            raise PanoramaError(
                f"there is not enough memory for a view of {width}x{height} pixels; choose a smaller --size"
            ) from error
    return view_of_erp


@contextmanager
def _writing(folder: Path) -> Generator[None]:
    """Raise errors of the file system in a block as `PanoramaError`."""
    try:
        yield
    except OSError as error:
        raise PanoramaError(f"{folder}: cannot be written ({error}); check the output folder") from error


def _save(image: Image.Image, path: Path, image_format: str, **options: int) -> None:
    with open(path, "xb") as file:
        image.save(file, image_format, **options)


def _resized(erp: Tensor) -> Tensor:
    """The panorama at the size of the footprint image."""
    image = Image.fromarray(erp.permute(1, 2, 0).contiguous().numpy())
    kind = Image.Resampling.BOX if image.width > _FOOTPRINT_SIZE[0] else Image.Resampling.BICUBIC
    return torch.from_numpy(np.array(image.resize(_FOOTPRINT_SIZE, kind))).permute(2, 0, 1)
