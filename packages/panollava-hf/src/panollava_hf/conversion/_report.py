"""What became of every key of a checkpoint: nothing is mapped, dropped or missing without a row that says so."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from panollava_hf._errors import CheckpointError

Fate = Literal["mapped", "dropped", "missing", "unexpected"]


@dataclass(frozen=True)
class Row:
    """One key.

    Attributes:
        key: Its name in the checkpoint (for a missing one: in the new model).
        fate: What became of it.
        target: Its name in the new model, or empty.
        why: Why it was dropped, or what is wrong with it.
    """

    key: str
    fate: Fate
    target: str = ""
    why: str = ""


@dataclass
class Account:
    """The table of all keys.

    Attributes:
        rows: One for each key.
        notes: Choices that the checkpoint left open, and objects that were not read.
    """

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, key: str, fate: Fate, target: str = "", why: str = "") -> None:
        """Write down one key."""
        self.rows.append(Row(key, fate, target, why))

    def of(self, *fates: Fate) -> list[Row]:
        """The rows with these fates."""
        return [row for row in self.rows if row.fate in fates]

    def check(self, allow: Sequence[str] = ()) -> None:
        """Refuse missing and unexpected keys, except those that a pattern of `allow` names.

        Args:
            allow: Shell patterns (`vicreg_projector.*`) for names in the checkpoint or in the new model.

        Raises:
            CheckpointError: Lists all of them.
        """
        wrong = [row for row in self.of("missing", "unexpected") if not allowed(row.key, allow)]
        if wrong:
            told = "; ".join(f"{row.fate} {row.key}{f' ({row.why})' if row.why else ''}" for row in wrong)
            raise CheckpointError(
                f"{len(wrong)} keys of the checkpoint and the model do not fit together: {told}. Give the towers and "
                "the model config it was trained with, or pass --allow-missing PATTERN for those that may be so"
            )

    def summary(self) -> list[tuple[str, str, int, str]]:
        """Rows put together by fate, place and reason: `(fate, prefix, number of keys, target or reason)`."""
        groups: Counter[tuple[str, str, str]] = Counter()
        for row in self.rows:
            place = ".".join(row.key.split(".")[:3])
            groups[row.fate, place, row.why or ".".join(row.target.split(".")[:3])] += 1
        return [(fate, place, count, told) for (fate, place, told), count in groups.items()]


def allowed(key: str, patterns: Iterable[str]) -> bool:
    """Whether a shell pattern names this key."""
    return any(fnmatchcase(key, pattern) for pattern in patterns)
