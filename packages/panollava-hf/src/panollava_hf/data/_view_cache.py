"""Decoded and cut panoramas on disk, so that they are made once only."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panollava_hf._errors import TableError, TrainingError, boundary
from panollava_hf._files import write_whole

#: Longest header of an entry in bytes; NumPy writes 128.
_MAX_HEADER = 1024


class ViewCache:
    """uint8 tensors by the identity of their image and the settings that they were made with.

    Files are written under a temporary name and then renamed, so several workers and runs can share a folder. A damaged
    file is made again and replaced.

    Args:
        folder: Where the files are stored; created when missing.
        settings: Everything that decides the tensor made of an image (the view plan, the size).
        shape: Shape of every tensor; None where it differs from image to image.

    Raises:
        TrainingError: The folder cannot be created. `get` raises it when a file cannot be written.
    """

    def __init__(self, folder: str | Path, settings: str, shape: tuple[int | None, ...]) -> None:
        self.folder = Path(folder)
        self.settings, self.shape = settings, shape
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, image: Any, make: Callable[[Any], Tensor]) -> Tensor:
        """The stored tensor of `image`, or `make(image)`, which is stored then."""
        identity = image_identity(image)
        if identity is None:
            return make(image)
        path = self.folder / (hashlib.sha256(f"{identity}|{self.settings}".encode()).hexdigest() + ".npy")
        found = self._read(path)
        if found is not None:
            return found
        made = make(image)
        stream = io.BytesIO()
        np.save(stream, made.numpy(), allow_pickle=False)
        with self._writing():
            write_whole(path, stream.getvalue(), durable=False)
        return made

    def _writing(self) -> Any:
        remedy = "free space there, or set data.cache to another folder"
        return boundary(TrainingError, f"the cache {self.folder} cannot be written", remedy)

    def _read(self, path: Path) -> Tensor | None:
        """The tensor of a file; None where there is none, or where it is not one that `get` wrote."""
        if not path.is_file():
            return None
        try:
            with boundary(TableError, str(path), "it is made again"), path.open("rb") as stream:
                if np.lib.format.read_magic(stream) != (1, 0):
                    return None
                shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_MAX_HEADER)
                # Nothing is allocated before the shape is known to fit the length of the file.
                expected = len(shape) == len(self.shape) and all(
                    size > 0 and size == (wanted or size) for size, wanted in zip(shape, self.shape, strict=True)
                )
                if is_fortran or dtype != np.uint8 or not expected:
                    return None
                length = path.stat().st_size - stream.tell()
                if length != int(np.prod(shape, dtype=object)):
                    return None
                data = np.empty(shape, dtype=np.uint8)
                return torch.from_numpy(data) if stream.readinto(data.data) == length else None
        except TableError:
            return None


def image_identity(image: Any) -> str | None:
    """A text that identifies an image without decoding it; None for images that exist in memory only."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    if isinstance(image, Path):
        try:
            found = image.stat()
        except OSError:  # reported by the function that reads it
            return None
        return f"{image.resolve()}|{found.st_size}|{found.st_mtime_ns}"
    return image if isinstance(image, str) else None
