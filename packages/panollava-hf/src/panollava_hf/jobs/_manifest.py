"""What determines the results of an output: its job and source; written with the parts, and kept with the results."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from panollava_hf._errors import JobError
from panollava_hf._files import write_whole
from panollava_hf._shown import shown
from panollava_hf.jobs._job import Job
from panollava_hf.jobs._kinds import Kind
from panollava_hf.jobs._sink import clean
from panollava_hf.jobs._source import Source
from panollava_hf.jobs._work import Part

FORMAT = "panollava results 1"
REMEDY = "use the same settings, choose another output, or start again with --no-resume"


@dataclass(frozen=True)
class Manifest:
    """The job, the source and the parts of an output.

    Attributes:
        job: The class of the job.
        settings: What determines its results.
        columns: The columns of its results.
        source: The source as messages name it.
        fingerprint: A hash of the source's ids in order.
        rows: Rows of the source.
        part_rows: Rows per part.
        keep: Whether rows of the existing output are kept. False after `--no-resume`.
        retries: How many times rows with errors were computed again.
        retrying: Whether this run began as a retry of rows with errors.
        bytes: Size of the finished file; None for folders and unfinished outputs.
        summary: The figures of the finished output.
        location: The path of the source without links, if it is a file or folder.
        version: The version of the package.
    """

    job: str
    settings: dict[str, Any]
    columns: list[str]
    source: str
    fingerprint: str
    rows: int
    part_rows: int
    keep: bool = True
    retries: int = 0
    retrying: bool = False
    bytes: int | None = None
    summary: dict[str, Any] | None = None
    location: str | None = None
    version: str = field(default_factory=lambda: version("panollava-hf"))
    format: str = FORMAT

    @classmethod
    def of(cls, job: Job, source: Source, part_rows: int) -> "Manifest":
        """The manifest of a run that begins."""
        settings = json.loads(json.dumps(job.settings(), allow_nan=False))
        kind = type(job).__name__
        rows, location = len(source), clean(os.path.realpath(source.name)) if os.path.exists(source.name) else None
        fingerprint, columns = source.fingerprint(), list(job.columns)
        return cls(kind, settings, columns, source.name, fingerprint, rows, part_rows, location=location)

    @classmethod
    def read(cls, path: Path) -> "Manifest | None":
        """The manifest in a file; None if there is no such file.

        Raises:
            JobError: It cannot be read, or is damaged.
        """
        try:
            content = json.loads(path.read_bytes())
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {shown(content['format'])}, expected {FORMAT!r}")
            return cls(**content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise JobError(
                f"{path} cannot be read, or is damaged ({type(error).__name__}); restore it, or start again with "
                "--no-resume"
            ) from error

    def write(self, path: Path) -> None:
        """Write the manifest, whole or not at all."""
        write_whole(path, json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def parts(self) -> list[Part]:
        """The parts of the source in order."""
        starts = range(0, self.rows, self.part_rows)
        return [Part(index, start, min(start + self.part_rows, self.rows)) for index, start in enumerate(starts)]

    def same_rows(self, other: "Manifest") -> bool:
        """Whether both have the same rows in the same order."""
        return (self.fingerprint, self.rows) == (other.fingerprint, other.rows)

    def same_job(self, other: "Manifest") -> bool:
        """Whether both have the same job, settings and source, perhaps with other rows."""
        mine, theirs = self._compared(), other._compared()
        if same_weights(mine, theirs):
            mine["model"] = theirs["model"]
        return mine == theirs and self.same_source(other)

    def _compared(self) -> dict[str, Any]:
        return {"job": self.job, **self.settings, "columns": self.columns}

    def same_source(self, other: "Manifest") -> bool:
        """Whether both name the same source, perhaps by another path."""
        return self.source == other.source or (self.location is not None and self.location == other.location)

    def tag(self) -> str:
        """A short name of the parts, so that those of another source or retry are not mistaken for them."""
        settings = {k: v for k, v in self.settings.items() if k != "model" or not self.settings.get("weights")}
        names = (self.job, settings, self.columns, self.fingerprint, self.rows, self.part_rows, self.retries)
        return hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()[:8]

    def check_same_job(self, wanted: "Manifest", output: Path) -> None:
        """Check that the wanted results belong to this output.

        Raises:
            JobError: They are of another job or source. The message says what differs.
        """
        mine, theirs = self._compared(), wanted._compared()
        if same_weights(mine, theirs):
            mine["model"] = theirs["model"]
        for name in [*mine, *(name for name in theirs if name not in mine)]:
            if mine.get(name) != theirs.get(name) or (name in mine) != (name in theirs):
                raise JobError(
                    f"{output} has results with {name} {_shown(mine, name)}, but {_shown(theirs, name)} was asked for; "
                    f"{REMEDY}"
                )
        if not self.same_source(wanted):
            raise JobError(
                f"{output} has results of the source {shown(self.source)}, but {shown(wanted.source)} was asked for; "
                "choose another output, or start again with --no-resume"
            )

    def complete(self, figures: dict[str, Any], size: int | None) -> "Manifest":
        """The manifest of the finished output."""
        return replace(self, keep=True, retries=0, retrying=False, summary=figures, bytes=size)

    def kinds(self, name: str) -> tuple[Kind, ...]:
        """What a figure of a finished output counts by kind."""
        return tuple(Kind(rows, text) for text, rows in (self.summary or {}).get(name, {}).items())


def same_weights(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two settings name the same weights, perhaps by another path; the weights of an endpoint are unknown."""
    known = mine.get("weights")
    return known is not None and known == theirs.get("weights") and "model" in mine and "model" in theirs


def _shown(settings: dict[str, Any], name: str) -> str:
    if name not in settings:
        return "(none)"
    value = settings[name]
    return shown(value) if not isinstance(value, list | dict) else shown(json.dumps(value))
