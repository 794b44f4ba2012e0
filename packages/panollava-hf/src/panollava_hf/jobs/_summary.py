"""The summary of a job: rows done, rows that failed by kind of error, and how long it took."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panollava_hf._shown import shortened

#: Kinds of errors that are counted one by one; further ones are counted together.
MAX_KINDS = 200
#: Kinds that a summary lists.
SHOWN_KINDS = 8
OTHER_KINDS = "other errors"
OTHER_WARNINGS = "other warnings"


@dataclass(frozen=True)
class Warned:
    """Images with the same kind of warning.

    Attributes:
        images: Their number.
        example: The name of the first one in alphabetical order.
    """

    images: int
    example: str


@dataclass(frozen=True)
class Summary:
    """The summary of a job.

    Attributes:
        output: The file or folder of results.
        total: Rows of the source.
        done: Rows with a result.
        failed: Rows with an error.
        kinds: Number of rows that failed, by kind of error: its text without the name of the image, and with N for
            each number.
        seconds: How long this run took.
        computed: Rows that this run computed, including those that failed.
        resumed: Rows that an earlier run had computed.
        complete_before: Whether the output was complete already. Nothing was computed then.
        warned: Images that this run read with a warning, by kind of warning.
    """

    output: Path
    total: int
    done: int
    failed: int
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    computed: int = 0
    resumed: int = 0
    complete_before: bool = False
    warned: Mapping[str, Warned] = field(default_factory=dict)

    @property
    def seconds_per_1000(self) -> float | None:
        """Seconds per 1,000 rows that were computed; None if none was."""
        return 1000 * self.seconds / self.computed if self.computed else None

    @property
    def exit_code(self) -> int:
        """The exit code of a command: 1 if rows failed, else 0."""
        return 1 if self.failed else 0

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "total": self.total,
            "done": self.done,
            "failed": self.failed,
            "kinds": dict(self.kinds.most_common()),
            "warned": {kind: warned.images for kind, warned in self.warned.items()},
            "seconds": round(self.seconds, 3),
            "seconds_per_1000": self.seconds_per_1000 and round(self.seconds_per_1000, 3),
            "computed": self.computed,
            "resumed": self.resumed,
        }

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        if self.complete_before:
            lines = [f"{self.output} is already complete: {self.done:,} of {self.total:,} rows have a result."]
        else:
            lines = [f"Wrote {self.output}: {self.done:,} of {self.total:,} rows have a result."]
            earlier = f", {self.resumed:,} by an earlier run" if self.resumed else ""
            rate = "" if self.seconds_per_1000 is None else f" ({self.seconds_per_1000:,.1f} s per 1,000)"
            rows = "1 row was" if self.computed == 1 else f"{self.computed:,} rows were"
            lines.append(f"{rows} computed in {self.seconds:,.1f} s{rate}{earlier}.")
        if self.warned:
            lines.append("Warnings about images:")
            ordered = sorted(self.warned.items(), key=lambda pair: -pair[1].images)
            for kind, warned in ordered[:SHOWN_KINDS]:
                such_as = "such as " * (warned.images > 1)
                lines.append(f"  {warned.images:>6,}  {kind} ({such_as}{shortened(warned.example, 60)})")
            if len(ordered) > SHOWN_KINDS:
                rest = sum(warned.images for _, warned in ordered[SHOWN_KINDS:])
                lines.append(f"  {rest:>6,}  … ({len(ordered) - SHOWN_KINDS} more kinds of warnings)")
        if self.failed:
            lines.append(f"{self.failed:,} failed:")
            kinds = self.kinds.most_common()
            lines += [f"  {number:>6,}  {kind}" for kind, number in kinds[:SHOWN_KINDS]]
            if len(kinds) > SHOWN_KINDS:
                rest = sum(number for _, number in kinds[SHOWN_KINDS:])
                lines.append(f"  {rest:>6,}  … ({len(kinds) - SHOWN_KINDS} more kinds of errors)")
            lines.append("Their rows have the reason in `error`. To compute them again, add --retry-errors.")
        return lines


def kind_of(error: str, *names: str | None) -> str:
    """The kind of an error: its text without the name of the image at its start, and with N for each number but 2:1.

    Args:
        error: The text.
        names: Names of the image that the text may start with, such as its path.

    Example:
        >>> kind_of("photos/a 1.jpg: 641 x 480 pixels, expected 2:1", "photos/a 1.jpg")
        'N x N pixels, expected 2:1'
    """
    text = " ".join(error.split())
    given = [name for name in names if name]
    known = {form for name in given for form in (name, name.rpartition("/")[2], _as_shown(name))}
    for name in sorted(known, key=len, reverse=True):
        if text.startswith(f"{name}:"):
            text = text.removeprefix(f"{name}:").lstrip()
            break
    else:
        text = re.sub(r"^(?:https?://|[\w.~-]*[/\\])\S*: +|^\S+\.[A-Za-z]\w{1,4}: +", "", text)
    text = re.sub(r"\b(2:1)\b(?!\.\d)|\d+(?:[.,]\d+)*", lambda found: found[1] or "N", text)
    return shortened(text, 120) or "an error without a text"


def _as_shown(name: str) -> str:
    """A name as messages about images show it: in one line, and of bounded length."""
    from panollava_geometry.addresses import source_name

    return " ".join(source_name(name).split())


def add_kinds(total: Counter[str], more: Counter[str]) -> None:
    """Count further errors; their number of kinds stays bounded."""
    for kind, number in more.items():
        total[kind if kind in total or len(total) < MAX_KINDS else OTHER_KINDS] += number


def add_warned(total: dict[str, Warned], more: Mapping[str, Warned]) -> None:
    """Add further warnings; the number of kinds stays bounded."""
    for kind, new in more.items():
        name = kind if kind in total or len(total) < MAX_KINDS else OTHER_WARNINGS
        old = total.get(name)
        total[name] = new if old is None else Warned(old.images + new.images, min(old.example, new.example))
