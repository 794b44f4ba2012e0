"""Views (or reduced panoramas) kept on the disk between epochs and runs, one file per panorama."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panollava_hf._files import write_whole


def picture_identity(image: Any) -> str | None:
    """What tells one picture from another without decoding it; None for pictures that exist in memory only."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    if isinstance(image, Path):
        found = image.stat()
        return f"{image.resolve()}|{found.st_size}|{found.st_mtime_ns}"
    return image if isinstance(image, str) else None


class ViewCache:
    """uint8 tensors under the identity of their picture and of what was made of it.

    A file appears whole or not at all, so several workers and runs may share a folder.

    Args:
        folder: Where the files go; made when it is missing.
        recipe: Everything that decides what is made of a picture (the plan, the size).
    """

    def __init__(self, folder: str | Path, recipe: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.recipe = recipe

    def get(self, image: Any, make: Callable[[Any], Tensor]) -> Tensor:
        """The tensor made of `image`, from the disk where it is there."""
        identity = picture_identity(image)
        if identity is None:
            return make(image)
        path = self.folder / (hashlib.sha256(f"{identity}|{self.recipe}".encode()).hexdigest() + ".npy")
        if path.is_file():
            return torch.from_numpy(np.load(path, allow_pickle=False))
        made = make(image)
        stream = io.BytesIO()
        np.save(stream, made.numpy(), allow_pickle=False)
        write_whole(path, stream.getvalue())
        return made
