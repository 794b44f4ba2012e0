"""Which panorama and which questions each item of a dataset holds: indices only, nothing is loaded here.

Everything random about item `i` follows from the seed and `i` alone. Therefore a run that was stopped continues exactly
where it stopped, and two processes together see what one process with twice the batch size sees.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from panollava_hf._errors import TableError

#: Independent streams of random numbers: the order of a pass, the questions of an item, the panorama of an item.
_PASS, _QUESTIONS, _PANORAMA = 0, 1, 2


@dataclass(frozen=True)
class Limit:
    """The largest value that the questions of one item may have in a column."""

    column: str
    value: float


@dataclass(frozen=True, eq=False)
class RisingLimit:
    """A curriculum: at first only questions with small values in a column are asked, then larger ones too.

    Attributes:
        column: Name of the column.
        values: Its values, `[rows]`.
        share: Share of the items during which the limit rises linearly to `end`, where it stays.
        start: The limit of the first item; None is the smallest value.
        end: The limit of the last items; None is the largest value.

    Raises:
        TableError: No question has a value of `start` or less, or of `end` or less.
    """

    column: str
    values: np.ndarray
    share: float
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        for name, limit in (("start", self.start), ("end", self.end)):
            if limit is not None and limit < self.values.min():
                raise TableError(
                    f"the curriculum {name}s at {limit}, but the smallest value in the column {self.column!r} is "
                    f"{self.values.min()}; set {name} to that value or more"
                )

    def at(self, index: int, length: int) -> Limit | None:
        """The limit of item `index` of `length`; None where every question may be asked."""
        rising = self.share * length
        if index >= rising:
            return None if self.end is None else Limit(self.column, self.end)
        largest = self.values.max() if self.end is None else self.end
        smallest = self.values.min() if self.start is None else self.start
        return Limit(self.column, float(smallest + index / rising * (largest - smallest)))


@dataclass(frozen=True, eq=False)
class ItemOrder:
    """Which panorama and which questions each item holds.

    Attributes:
        groups: Rows of the table for each panorama.
        length: Number of items. When all panoramas have been seen, the next pass begins, in a new order.
        questions: Largest number of questions per item; None takes all.
        seed: Seed of the order and of the choice of questions.
        shuffle: Whether panoramas and questions come in a random order.
        curriculum: Limits the questions of the first items.
        weights: Sampling weight of each question, `[rows]`: a question of weight 3 is three times as likely to be drawn
            next as one of weight 1, and a panorama is drawn in proportion to the sum of its questions' weights. None
            treats all alike, and every pass holds each panorama once.

    Example:
        >>> order = ItemOrder(groups=[[0, 2], [1], [3]], length=6, questions=1, seed=7)
        >>> sorted(order.panorama(index) for index in range(3))
        [0, 1, 2]
    """

    groups: Sequence[Sequence[int]]
    length: int
    questions: int | None = None
    seed: int = 0
    shuffle: bool = True
    curriculum: RisingLimit | None = None
    weights: np.ndarray | None = None

    def limit(self, index: int) -> Limit | None:
        """The limit that the curriculum sets for an item; None where every question may be asked."""
        return None if self.curriculum is None else self.curriculum.at(index, self.length)

    def panorama(self, index: int) -> int:
        """The panorama of an item, as an index into `groups`."""
        limit = self.limit(index)
        if limit is not None or (self.weights is not None and self.shuffle):
            return self._drawn(index, limit)
        turn, place = divmod(index, len(self.groups))
        return int(_permutation(self.seed, turn, len(self.groups))[place]) if self.shuffle else place

    def panoramas(self, index: int) -> Iterator[int]:
        """The panorama of an item, and those to take instead, one after the other, when it cannot be used."""
        first = self.panorama(index)
        return ((first + step) % len(self.groups) for step in range(len(self.groups)))

    def generator(self, index: int) -> np.random.Generator:
        """A new generator for everything that is random about an item once its panorama is known."""
        return np.random.default_rng([self.seed, _QUESTIONS, index])

    def allowed(
        self, rows: Iterable[int], limit: Limit | None, changed: Mapping[int, float] | None = None
    ) -> list[int]:
        """The rows that the limit of an item allows.

        Args:
            rows: Rows of one panorama.
            limit: As `limit(index)` returned it.
            changed: Values that replace those of the table, e.g. after a rotation.
        """
        if limit is None or self.curriculum is None:
            return list(rows)
        values, changed = self.curriculum.values, changed or {}
        return [row for row in rows if changed.get(row, values[row]) <= limit.value]

    def choose(self, rows: Sequence[int], rng: np.random.Generator) -> list[int]:
        """At most `questions` of these rows, in the order in which they are asked."""
        count = len(rows) if self.questions is None else min(self.questions, len(rows))
        if not self.shuffle:
            return list(rows[:count])
        if self.weights is None:
            return [int(row) for row in rng.permutation(rows)[:count]]
        # Weighted sampling without replacement: the `count` shortest of exponential waiting times (Efraimidis and
        # Spirakis 2006, https://doi.org/10.1016/j.ipl.2005.11.003).
        waiting = rng.exponential(size=len(rows)) / self.weights[rows]
        return [rows[place] for place in np.argsort(waiting)[:count]]

    def _drawn(self, index: int, limit: Limit | None) -> int:
        """A random panorama among those with at least one allowed question."""
        rng = np.random.default_rng([self.seed, _PANORAMA, index])
        values, by_value = self._by_value
        count = len(self.groups) if limit is None else int(np.searchsorted(values, limit.value, side="right"))
        if self._cumulative_weights is None:
            return int(by_value[rng.integers(count)])
        total = self._cumulative_weights[count - 1]
        return int(by_value[np.searchsorted(self._cumulative_weights, rng.random() * total, side="right")])

    @cached_property
    def _by_value(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest value of each panorama in ascending order, and the panoramas in that order."""
        if self.curriculum is None:
            return np.zeros(len(self.groups)), np.arange(len(self.groups))
        values = np.asarray([self.curriculum.values[rows].min() for rows in self.groups])
        by_value = np.argsort(values, kind="stable")
        return values[by_value], by_value

    @cached_property
    def _cumulative_weights(self) -> np.ndarray | None:
        if self.weights is None:
            return None
        _, by_value = self._by_value
        return np.cumsum([self.weights[self.groups[panorama]].sum() for panorama in by_value])


@lru_cache(maxsize=2)
def _permutation(seed: int, turn: int, count: int) -> np.ndarray:
    """The order of all panoramas in one pass."""
    return np.random.default_rng([seed, _PASS, turn]).permutation(count)
