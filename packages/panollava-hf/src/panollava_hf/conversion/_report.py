"""What was done with every key of a checkpoint: each mapped, dropped, missing or unexpected key has a row."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from panollava_hf._errors import CheckpointError
from panollava_hf._shown import listed

#: Most keys that an error lists.
MAX_LISTED = 100

Status = Literal["mapped", "dropped", "missing", "unexpected"]


@dataclass(frozen=True)
class KeyReport:
    """What was done with one key.

    Attributes:
        key: Its name in the checkpoint; for a missing one, its name in the new model.
        status: `mapped`, `dropped`, `missing` or `unexpected`.
        target: Its name in the new model, or empty.
        reason: Why it was dropped, or what is wrong with it.
    """

    key: str
    status: Status
    target: str = ""
    reason: str = ""

    @property
    def fate(self) -> Status:
        """Deprecated name of `status`."""
        warnings.warn("KeyReport.fate is deprecated, use KeyReport.status", DeprecationWarning, stacklevel=2)
        return self.status

    @property
    def why(self) -> str:
        """Deprecated name of `reason`."""
        warnings.warn("KeyReport.why is deprecated, use KeyReport.reason", DeprecationWarning, stacklevel=2)
        return self.reason


@dataclass(frozen=True)
class ConversionReport:
    """What was done with all keys of a checkpoint.

    Attributes:
        rows: One for each key.
        notes: What was chosen where the checkpoint left something open, and what was not read.
    """

    rows: tuple[KeyReport, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, *statuses: Status) -> list[KeyReport]:
        """The rows with one of these statuses."""
        return [row for row in self.rows if row.status in statuses]

    def check(self, allow: Sequence[str] = ()) -> None:
        """Refuse missing and unexpected keys.

        Args:
            allow: Shell patterns (`vicreg_projector.*`) of keys that may be missing or unexpected.

        Raises:
            CheckpointError: Lists the other missing and unexpected keys, at most 100.
        """
        wrong = [row for row in self.of("missing", "unexpected") if not matches(row.key, allow)]
        if wrong:
            rows = [f"{row.status} {row.key}{f' ({row.reason})' if row.reason else ''}" for row in wrong]
            keys = listed(rows, MAX_LISTED, "; ")
            raise CheckpointError(
                f"{len(wrong)} keys of the checkpoint and the model do not match: {keys}. Give the towers and the "
                "model config of the run, or pass --allow-missing PATTERN for keys that may be missing or unexpected"
            )

    def lines(self, *, all_keys: bool = False) -> list[str]:
        """The report as text: one line per part, or one per key, and a last line with the number of keys by status."""
        if all_keys:
            lines = [
                f"{row.status:<10} {row.key} {f'-> {row.target}' if row.target else f'({row.reason})'}"
                for row in self.rows
            ]
        else:
            lines = [
                f"{status:<10} {count:>5}  {place}  {'-> ' if status == 'mapped' else ''}{message}"
                for status, place, count, message in self.summary()
            ]
        return [*lines, ", ".join(f"{len(self.of(status))} {status}" for status in get_args(Status))]

    def summary(self) -> list[tuple[Status, str, int, str]]:
        """Rows grouped by status, place and reason: `(status, prefix, number of keys, target or reason)`."""
        groups: Counter[tuple[Status, str, str]] = Counter()
        for row in self.rows:
            place = ".".join(row.key.split(".")[:3])
            groups[row.status, place, row.reason or ".".join(row.target.split(".")[:3])] += 1
        return [(status, place, count, message) for (status, place, message), count in groups.items()]


def matches(key: str, patterns: Iterable[str]) -> bool:
    """Whether one of the shell patterns matches this key."""
    return any(fnmatchcase(key, pattern) for pattern in patterns)
