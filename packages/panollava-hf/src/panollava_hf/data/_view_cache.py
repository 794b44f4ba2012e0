"""Views (or reduced panoramas) kept on disk between epochs and runs, one file per panorama."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panollava_hf._files import write_whole


def image_identity(image: Any) -> str | None:
    """A text that identifies an image without decoding it; None for images that exist in memory only."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    if isinstance(image, Path):
        found = image.stat()
        return f"{image.resolve()}|{found.st_size}|{found.st_mtime_ns}"
    return image if isinstance(image, str) else None


class ViewCache:
    """uint8 tensors by the identity of their image and the settings that they were made with.

    Files are written under a temporary name and then renamed, so several workers and runs can share a folder.

    Args:
        folder: Where the files are stored; created when missing.
        settings: Everything that decides the tensor made of an image (the view plan, the size).
    """

    def __init__(self, folder: str | Path, settings: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = settings

    def get(self, image: Any, make: Callable[[Any], Tensor]) -> Tensor:
        """The stored tensor of `image`, or `make(image)`, which is stored then."""
        identity = image_identity(image)
        if identity is None:
            return make(image)
        path = self.folder / (hashlib.sha256(f"{identity}|{self.settings}".encode()).hexdigest() + ".npy")
        if path.is_file():
            return torch.from_numpy(np.load(path, allow_pickle=False))
        made = make(image)
        stream = io.BytesIO()
        np.save(stream, made.numpy(), allow_pickle=False)
        write_whole(path, stream.getvalue())
        return made
