"""Panoramas with their questions, decoded and cut into views in the workers of a data loader."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from panollava_geometry import PanoramaError, extract_views
from panollava_geometry.addresses import untrusted_addresses
from torch import Tensor
from torch.utils.data import Dataset

from panollava_hf._errors import PanoLLaVaError, TableError
from panollava_hf.data._examples import Example, Examples
from panollava_hf.data._order import ItemOrder, Limit
from panollava_hf.data._view_cache import ViewCache
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor


class YawAugmentation(Protocol):
    """Rotates the questions and answers about a panorama when the panorama is rotated."""

    def draw_yaw(self, examples: Sequence[Example], limit: Limit | None, rng: np.random.Generator) -> float:
        """A random yaw in degrees; under a limit, one at which some of the examples are allowed."""
        ...

    def rotate(self, examples: Sequence[Example], yaw_deg: float, rng: np.random.Generator) -> list[Example | None]:
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
        private_redirects: Whether URLs can redirect from a public address to a private one.
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
        private_redirects: bool = False,
    ) -> None:
        self.examples, self.order, self.image_processor = examples, order, image_processor
        self.yaw_augmentation, self.skip_bad = yaw_augmentation, skip_bad
        self.private_redirects = private_redirects
        self.plan = image_processor.view_plan()
        self.size = (image_processor.size["height"], image_processor.size["width"])
        kind = "views" if yaw_augmentation is None else "panorama"
        settings = f"{self.plan.to_dict()}|{self.size}|{image_processor.antialias}|{kind}"
        shape = (len(self.plan), 3, *self.size) if yaw_augmentation is None else (3, None, None)
        self.cache = None if cache is None else ViewCache(cache, settings, shape)

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
            except (PanoramaError, TableError) as error:  # wrong with this image
                where = f"{self.examples.where(rows[0])}: "
                message = where + str(error).removeprefix(where)
                if not self.skip_bad:
                    hint = "repair or remove the file, or skip unreadable images with --skip-bad"
                    return Item(error=f"{message}; {hint}")
                skipped.append(message)
            except PanoLLaVaError as error:  # wrong with any image
                return Item(error=str(error))
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
        after = self.yaw_augmentation.rotate(examples, columns * 360.0 / width, rng)
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
        with nullcontext() if self.private_redirects else untrusted_addresses("data.private_redirects: true"):
            erp: Tensor = self.image_processor.fetch_images(image)
        return erp.contiguous()

    def _views(self, erp: Tensor) -> Tensor:
        return extract_views(erp, self.plan, self.size, antialias=self.image_processor.antialias)
