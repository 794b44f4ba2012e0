"""Panoramas with their questions, decoded and cut into views in the workers of a data loader."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from panollava_geometry import extract_views
from torch import Tensor
from torch.utils.data import Dataset

from panollava_hf._errors import PanoLLaVaError
from panollava_hf._files import write_whole
from panollava_hf.data._examples import Example, Examples
from panollava_hf.data._order import ItemOrder, Limit
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor


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
        write_whole(path, stream.getvalue(), durable=False)
        return made


class YawAugmentation(Protocol):
    """Rotates the questions and answers about a panorama when the panorama is rotated."""

    def draw_yaw(self, examples: Sequence[Example], limit: Limit | None, rng: np.random.Generator) -> float:
        """A random yaw in degrees; under a limit, one at which some of the examples are allowed."""
        ...

    def rotate(self, examples: Sequence[Example], yaw_deg: float) -> list[Example | None]:
        """Each example after its panorama is rotated by `yaw_deg` to the right; None where it has no answer then."""
        ...


@dataclass(frozen=True)
class Item:
    """One panorama with its questions, or the reason why there is none.

    Attributes:
        views: `[V, 3, h, w]` uint8.
        examples: The questions asked about it.
        skipped: Messages about unreadable images that were skipped for this item.
        error: An error that ends the run. The main process raises it, so that the user sees one line and no traceback
            of a worker.
    """

    views: Tensor | None = None
    examples: list[Example] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    error: str | None = None


class PanoramaDataset(Dataset[Item]):
    """Loads and cuts the panorama of each item, with its questions.

    Args:
        examples: The table.
        order: Which panorama and questions each item holds.
        image_processor: Defines the views.
        yaw_augmentation: Rotates each panorama by a random yaw, and its questions with it; None leaves both unchanged.
        cache: Folder for decoded and cut panoramas. With `yaw_augmentation` it holds the panorama, reduced to the size
            that the views need, otherwise the views.
        skip_bad: Skip images that cannot be read instead of ending the run.
    """

    def __init__(
        self,
        examples: Examples,
        order: ItemOrder,
        image_processor: PanoLLaVaImageProcessor,
        *,
        yaw_augmentation: YawAugmentation | None = None,
        cache: str | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.examples, self.order, self.image_processor = examples, order, image_processor
        self.yaw_augmentation, self.skip_bad = yaw_augmentation, skip_bad
        self.plan = image_processor.view_plan()
        self.size = (image_processor.size["height"], image_processor.size["width"])
        kind = "views" if yaw_augmentation is None else "panorama"
        settings = f"{self.plan.to_dict()}|{self.size}|{image_processor.antialias}|{kind}"
        self.cache = None if cache is None else ViewCache(cache, settings)

    def __len__(self) -> int:
        return self.order.length

    def __getitem__(self, index: int) -> Item:
        limit, rng = self.order.limit(index), self.order.generator(index)
        load = self._as_stored if self.yaw_augmentation is None else self._rotated
        skipped: list[str] = []
        for panorama in self.order.panoramas(index):
            rows = self.order.groups[panorama]
            try:
                views, examples = load(rows, limit, rng)
            except PanoLLaVaError as error:  # wrong with any image
                return Item(error=str(error))
            except (OSError, ValueError) as error:
                message = f"{self.examples[rows[0]].where}: {error}"
                if not self.skip_bad:
                    hint = "repair or remove the file, or skip unreadable images with --skip-bad"
                    return Item(error=f"{message}; {hint}")
                skipped.append(message)
            else:
                if examples:
                    return Item(views, examples, skipped)
        reason = f": {skipped[0]}" if skipped else ""
        count = len(self.order.groups)
        return Item(error=f"none of the {count} panoramas of {self.examples.name} can be used{reason}")

    def _as_stored(
        self, rows: Sequence[int], limit: Limit | None, rng: np.random.Generator
    ) -> tuple[Tensor | None, list[Example]]:
        """Views and questions of one panorama; no questions where the limit allows none."""
        chosen = self.order.choose(self.order.allowed(rows, limit), rng)
        if not chosen:
            return None, []
        views = self._cached(rows, lambda image: self._views(self._panorama(image)))
        return views, [self.examples[row] for row in chosen]

    def _rotated(
        self, rows: Sequence[int], limit: Limit | None, rng: np.random.Generator
    ) -> tuple[Tensor, list[Example]]:
        """Views and questions of one panorama at a random yaw, in whole columns of pixels."""
        assert self.yaw_augmentation is not None
        erp = self._cached(rows, self._panorama)
        # Under a limit all questions are rotated before the choice, because only then it is known which are allowed.
        candidates = list(rows) if limit is not None else self.order.choose(rows, rng)
        examples = [self.examples[row] for row in candidates]
        width = erp.shape[-1]
        columns = round(self.yaw_augmentation.draw_yaw(examples, limit, rng) * width / 360)
        after = self.yaw_augmentation.rotate(examples, columns * 360.0 / width)
        rotated = {row: example for row, example in zip(candidates, after, strict=True) if example is not None}
        chosen = list(rotated)
        if limit is not None:
            column = limit.column
            changed = {row: example.extra[column] for row, example in rotated.items() if column in example.extra}
            chosen = self.order.choose(self.order.allowed(rotated, limit, changed), rng)
        if chosen:
            return self._views(torch.roll(erp, columns, dims=-1)), [rotated[row] for row in chosen]
        # No question can be asked at this yaw: the panorama is not rotated.
        chosen = self.order.choose(self.order.allowed(rows, limit), rng)
        return self._views(erp), [self.examples[row] for row in chosen]

    def _cached(self, rows: Sequence[int], make: Callable[[Any], Tensor]) -> Tensor:
        image = self.examples[rows[0]].image
        return make(image) if self.cache is None else self.cache.get(image, make)

    def _panorama(self, image: Any) -> Tensor:
        erp: Tensor = self.image_processor.fetch_images(image)
        return erp.contiguous()

    def _views(self, erp: Tensor) -> Tensor:
        return extract_views(erp, self.plan, self.size, antialias=self.image_processor.antialias)
