"""The summary of a job: rows done, rows that failed or that the model does not know, and how long it took."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panollava_hf.jobs._kinds import Kind, listed_kinds

#: Exit code of commands if nothing failed, but the model does not know a word, the question, or this kind of image.
UNKNOWN = 3


@dataclass(frozen=True)
class Summary:
    """The summary of a job.

    Attributes:
        output: The file or folder of results.
        total: Rows of the source.
        done: Rows with a result.
        failed: Rows with an error.
        unknown: Rows without an answer, because the model says that it does not know a word, the question or the image.
        kinds: The errors of the rows that failed, by kind.
        unknown_kinds: What the model does not know, by kind.
        seconds: How long this run took.
        computed: Rows that this run computed, including those that failed.
        resumed: Rows that an earlier run had computed.
        complete_before: Whether the output was complete already. Nothing was computed then.
        warned: Warnings about images that this run read, by kind.
    """

    output: Path
    total: int
    done: int
    failed: int
    unknown: int = 0
    kinds: tuple[Kind, ...] = ()
    unknown_kinds: tuple[Kind, ...] = ()
    seconds: float = 0.0
    computed: int = 0
    resumed: int = 0
    complete_before: bool = False
    warned: tuple[Kind, ...] = ()

    @property
    def seconds_per_1000(self) -> float | None:
        """Seconds per 1,000 rows that were computed; None if none was."""
        return 1000 * self.seconds / self.computed if self.computed else None

    @property
    def exit_code(self) -> int:
        """The exit code of a command: 1 if rows failed, else 3 if the model does not know some, else 0."""
        if self.failed:
            return 1
        return UNKNOWN if self.unknown else 0

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "total": self.total,
            "done": self.done,
            "failed": self.failed,
            "unknown": self.unknown,
            "kinds": _counts(self.kinds),
            "unknown_kinds": _counts(self.unknown_kinds),
            "warned": _counts(self.warned),
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
            lines += ["Warnings about images:", *listed_kinds(self.warned)]
        if self.unknown:
            have = "has" if self.unknown == 1 else "have"
            lines += [
                f"{self.unknown:,} {have} no answer, because of what the model does not know:",
                *listed_kinds(self.unknown_kinds),
                "The reason is in `note`.",
            ]
        if self.failed:
            lines += [
                f"{self.failed:,} failed:",
                *listed_kinds(self.kinds),
                "Their rows have the reason in `error`. To compute them again, add --retry-errors.",
            ]
        return lines


def _counts(kinds: tuple[Kind, ...]) -> dict[str, int]:
    return {kind.text: kind.rows for kind in sorted(kinds, key=lambda kind: -kind.rows)}
