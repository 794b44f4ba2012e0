"""The unit of work of both engines: some rows of a source, whose results are one file that appears whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from panollava_hf.jobs._kinds import Kind


@dataclass(frozen=True)
class Part:
    """Rows `start` to `stop` (exclusive) of a source.

    Attributes:
        index: Its place among the parts.
        start: First row.
        stop: Row after its last one.
    """

    index: int
    start: int
    stop: int


@dataclass(frozen=True)
class PartReport:
    """The report of a part.

    Attributes:
        part: The part.
        done: Rows with a result, counting those of an earlier run.
        computed: Rows that this run computed.
        failed: Rows that failed, by kind of error.
        unknown: Rows without an answer, by what the model does not know.
        warned: Warnings about images that this run read, by kind.
    """

    part: Part
    done: int
    computed: int
    failed: Mapping[str, Kind] = field(default_factory=dict)
    unknown: Mapping[str, Kind] = field(default_factory=dict)
    warned: Mapping[str, Kind] = field(default_factory=dict)


class Work(Protocol):
    """A job, its source and its sink together; it pickles, and any process can do any part of it."""

    def do(self, part: Part) -> PartReport:
        """Compute a part and write its file, whole; rows that an earlier run wrote are copied."""
        ...

    def path_of(self, part: Part) -> Path:
        """The file of a part."""
        ...
