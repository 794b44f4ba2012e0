"""Panoramas with their questions, decoded and cut in the workers of a data loader.

Everything random about item `i` follows from the seed and `i` alone. So a run that was killed goes on exactly where it
stopped, and two processes see what one process with twice the batch would see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from panollava_geometry import extract_views
from torch import Tensor
from torch.utils.data import Dataset

from panollava_hf._errors import TableError
from panollava_hf.data._examples import Example, Examples
from panollava_hf.data._view_cache import ViewCache
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor


class Roller(Protocol):
    """What becomes of questions when their panorama is rolled."""

    def __call__(self, chosen: Sequence[Example], yaw_deg: float) -> list[Example | None]:
        """Each example after a roll by `yaw_deg` to the right; None where it holds no more."""
        ...

    def yaw(self, chosen: Sequence[Example], rng: np.random.Generator, easy: tuple[str, float] | None) -> float:
        """A random yaw in degrees; under a curriculum, given by its column and limit, one that leaves questions."""
        ...


@dataclass
class Item:
    """One panorama with its questions, or why there is none.

    Attributes:
        views: `[V, 3, h, w]` uint8.
        examples: The questions asked about it.
        skipped: Bad pictures that were passed over on the way to this one.
        error: A mistake that must end the run; it is raised in the main process, where it can be told in one line.
    """

    views: Tensor | None = None
    examples: list[Example] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    error: str | None = None


class PanoramaDataset(Dataset[Item]):
    """Panoramas in a shuffled order, with some of their questions each.

    Args:
        examples: The table.
        image_processor: Says how a panorama is cut.
        length: Number of items; panoramas come again, in a new order, when all have been seen. None is one pass.
        questions: At most so many questions per panorama and item; None takes all.
        seed: Of the order, the choice of questions, and the rolling.
        easy_first: A column of numbers and a share: during that share of the items, the largest value allowed rises
            evenly from the smallest to the largest there is, or from a third value. Questions above it are not asked.
            What rolling changes is taken from the `extra` of the rolled examples.
        favour: A column of texts, and weights of its values: a question of weight 3 is three times as likely to be
            drawn next as one of weight 1, which values without a weight have, and a panorama as likely as all its
            questions weigh.
        shuffle: Whether panoramas and questions come in a random order.
        roll: Roll the panorama by a random yaw: None (never), or what becomes of its examples then.
        cache: Folder for what was decoded and cut; with `roll`, the reduced panorama is kept instead of its views.
        skip_bad: Pass over pictures that cannot be read instead of ending the run.
    """

    def __init__(
        self,
        examples: Examples,
        image_processor: PanoLLaVaImageProcessor,
        *,
        length: int | None = None,
        questions: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
        easy_first: tuple[str, float] | tuple[str, float, float] | None = None,
        favour: tuple[str, Mapping[str, float]] | None = None,
        roll: Roller | None = None,
        cache: str | None = None,
        skip_bad: bool = False,
    ) -> None:
        self.examples, self.image_processor = examples, image_processor
        self.groups = examples.groups()
        self.length = len(self.groups) if length is None else length
        self.questions, self.seed, self.shuffle, self.roll, self.skip_bad = questions, seed, shuffle, roll, skip_bad
        self.plan = image_processor.view_plan()
        self.size = (image_processor.size["height"], image_processor.size["width"])
        what = f"{self.plan.to_dict()}|{self.size}|{image_processor.antialias}|{'panorama' if roll else 'views'}"
        self.cache = None if cache is None else ViewCache(cache, what)
        self.easy_first = easy_first
        if easy_first is not None:
            self._difficulty = examples.numbers(easy_first[0])
            if len(easy_first) > 2 and easy_first[2] < self._difficulty.min():
                raise TableError(
                    f"{examples.name}: easy_first starts at {easy_first[2]}, below everything in the column "
                    f"{easy_first[0]!r}, whose smallest value is {self._difficulty.min()}"
                )
            values = np.asarray([self._difficulty[rows].min() for rows in self.groups])
            self._ranked = np.argsort(values, kind="stable")
            self._values = values[self._ranked]
        else:
            self._ranked = np.arange(len(self.groups))
        self._weights = None if favour is None else examples.weights(*favour)
        if self._weights is not None:
            self._reach = np.cumsum([self._weights[self.groups[place]].sum() for place in self._ranked])
        self._pass: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.length

    def panorama_of(self, index: int) -> int:
        """Which panorama item `index` is about."""
        limit = self._limit(index)
        if limit is not None or (self._weights is not None and self.shuffle):
            return self._drawn(index, limit)
        turn, place = divmod(index, len(self.groups))
        if not self.shuffle:
            return place
        if self._pass is None or self._pass[0] != turn:
            self._pass = (turn, np.random.default_rng([self.seed, 0, turn]).permutation(len(self.groups)))
        return int(self._pass[1][place])

    def _limit(self, index: int) -> float | None:
        """The largest value of the curriculum's column that item `index` may have; None where all may come."""
        if self.easy_first is None or index >= self.easy_first[1] * self.length:
            return None
        largest = self._difficulty.max()
        smallest = self.easy_first[2] if len(self.easy_first) > 2 else self._difficulty.min()
        return float(smallest + index / (self.easy_first[1] * self.length) * (largest - smallest))

    def _drawn(self, index: int, limit: float | None) -> int:
        """Any of the panoramas about which something is easy enough by now."""
        rng = np.random.default_rng([self.seed, 2, index])
        count = len(self._ranked) if limit is None else int(np.searchsorted(self._values, limit, side="right"))
        if self._weights is None:
            return int(self._ranked[rng.integers(count)])
        return int(self._ranked[np.searchsorted(self._reach, rng.random() * self._reach[count - 1], side="right")])

    def __getitem__(self, index: int) -> Item:
        rng = np.random.default_rng([self.seed, 1, index])
        first, limit = self.panorama_of(index), self._limit(index)
        skipped: list[str] = []
        for step in range(len(self.groups)):
            rows = self.groups[(first + step) % len(self.groups)]
            if limit is not None and self.roll is None:
                rows = [row for row in rows if self._difficulty[row] <= limit]
                if not rows:  # after a bad picture: the next panorama may be too hard as yet
                    continue
            try:
                views, chosen = self._cut(rows, limit, rng)
                if not chosen:
                    continue
            except (OSError, ValueError) as error:
                if isinstance(error, TableError):
                    return Item(error=str(error))
                message = f"{self.examples[rows[0]].where}: {error}"
                if not self.skip_bad:
                    return Item(error=f"{message}; mend or remove it, or pass over bad pictures with --skip-bad")
                skipped.append(message)
            else:
                return Item(views, chosen, skipped)
        return Item(error=f"none of the {len(self.groups)} panoramas of {self.examples.name} can be read: {skipped[0]}")

    def _choose(self, rows: list[int], rng: np.random.Generator) -> list[int]:
        count = len(rows) if self.questions is None else min(self.questions, len(rows))
        if not self.shuffle:
            return rows[:count]
        if self._weights is None:
            return [int(row) for row in rng.permutation(rows)[:count]]
        # Drawn one after the other without replacement: the first `count` of waiting times (Efraimidis and Spirakis
        # 2006, https://doi.org/10.1016/j.ipl.2005.11.003).
        waiting = rng.exponential(size=len(rows)) / self._weights[rows]
        return [rows[place] for place in np.argsort(waiting)[:count]]

    def _cut(self, rows: list[int], limit: float | None, rng: np.random.Generator) -> tuple[Tensor, list[Example]]:
        image = self.examples[rows[0]].image
        if self.roll is None:
            chosen = [self.examples[row] for row in self._choose(rows, rng)]
            return (self._views(image) if self.cache is None else self.cache.get(image, self._views)), chosen
        erp = self._reduced(image) if self.cache is None else self.cache.get(image, self._reduced)
        # Under a curriculum all questions are rolled, as only then it shows which may be asked.
        tried = rows if limit is not None else self._choose(rows, rng)
        before = [self.examples[row] for row in tried]
        easy = None if limit is None or self.easy_first is None else (self.easy_first[0], limit)
        shift = round(self.roll.yaw(before, rng, easy) * erp.shape[-1] / 360)
        turned = self.roll(before, shift * 360.0 / erp.shape[-1])
        rolled = {row: example for row, example in zip(tried, turned, strict=True) if example is not None}
        if easy is not None:
            column, limit = easy
            hard = {row: example.extra.get(column, self._difficulty[row]) for row, example in rolled.items()}
            rolled = {row: rolled[row] for row in self._choose([r for r in rolled if hard[r] <= limit], rng)}
            rows = [row for row in rows if self._difficulty[row] <= limit]
        if not rolled:  # no question may be asked after this roll
            return self._extract(erp), [self.examples[row] for row in self._choose(rows, rng)]
        return self._extract(torch.roll(erp, shift, dims=-1)), list(rolled.values())

    def _views(self, image: Any) -> Tensor:
        return self._extract(self.image_processor.fetch_images(image))

    def _reduced(self, image: Any) -> Tensor:
        erp: Tensor = self.image_processor.fetch_images(image)
        return erp.contiguous()

    def _extract(self, erp: Tensor) -> Tensor:
        return extract_views(erp, self.plan, self.size, antialias=self.image_processor.antialias)
