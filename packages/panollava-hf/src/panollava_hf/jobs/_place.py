"""The paths of an output, its manifest, its parts and its lock."""

import glob
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from panollava_hf._errors import JobError, UsageError, reason
from panollava_hf._files import check_writable
from panollava_hf.jobs._manifest import Manifest
from panollava_hf.jobs._sink import Sink

MANIFEST = "_manifest.json"  # readers of folders of Parquet files leave out names that begin with _
INDEX = "known.sqlite"


@dataclass(frozen=True)
class Place:
    """The paths of an output.

    Attributes:
        shown: The output as it was given.
        output: The file or folder of results; where it leads if it is a link.
        is_folder: Whether the parts stay as they are, in a folder.
        sink: The format of the files.
    """

    shown: Path
    output: Path
    is_folder: bool
    sink: Sink

    @classmethod
    def of(cls, output: Path) -> "Place":
        """The paths of an output.

        Raises:
            JobError: Its suffix is unknown, it is of the wrong kind, or its folder cannot be written.
        """
        real = Path(os.path.realpath(output))
        if not real.name:
            raise JobError(f"output {output}: this is the root of the file system; expected a file or folder in it")
        if real.name.lower() in (".parquet", ".jsonl"):
            raise JobError(f"output {output}: this name is a suffix only; expected a name such as vectors{real.name}")
        sink = _sink_of(real)
        is_folder = real.is_dir() or not real.suffix
        if is_folder and real.suffix.lower() in (".parquet", ".jsonl"):
            raise JobError(f"output {output}: this is a folder, expected a file that ends in {real.suffix}")
        if is_folder and real.exists() and not real.is_dir():
            raise JobError(
                f"output {output}: this is a file; expected a name that ends in .parquet or .jsonl, or a folder"
            )
        try:
            check_writable(real.parent)
        except UsageError as error:
            raise JobError(f"output {error}") from error
        return cls(Path(output), real, is_folder, sink)

    @property
    def parts(self) -> Path:
        """The folder of parts while the job is not complete."""
        return self.output.with_name(f"{self.output.name}.parts")

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.output.with_name(f".{self.output.name}.lock")

    @property
    def staged(self) -> Path:
        """The output before it takes its name."""
        return self.output.with_name(f".{self.output.name}.merging")

    @property
    def replaced(self) -> Path:
        """An older folder of results, which the new one replaces."""
        return self.output.with_name(f".{self.output.name}.replaced")

    @property
    def manifest(self) -> Path:
        """The manifest of the finished output."""
        return self.output / MANIFEST if self.is_folder else self.output.with_name(f"{self.output.name}.manifest.json")

    @property
    def part_manifest(self) -> Path:
        """The manifest of the parts."""
        return self.parts / MANIFEST

    def finished(self) -> Manifest | None:
        """The manifest of the output if it is complete.

        Raises:
            JobError: There is something at this path that no job has written, or it was changed.
        """
        if not self.output.exists() or (self.is_folder and not any(self.output.iterdir())):
            return None
        manifest = Manifest.read(self.manifest)
        if manifest is None:
            raise JobError(
                f"{self.shown} already exists, and has no manifest of a job; choose another output"
                + ("" if self.is_folder else ", or replace it with --no-resume")
            )
        if manifest.bytes is not None and self.output.stat().st_size != manifest.bytes:
            raise JobError(
                f"{self.shown} has {self.output.stat().st_size:,} bytes, but the job wrote {manifest.bytes:,}; restore "
                "it, remove it, or start again with --no-resume"
            )
        return manifest

    def check_replaceable(self) -> None:
        """Check that `--no-resume` may replace the output.

        Raises:
            JobError: It is a folder with files that no job has written.
        """
        if not self.is_folder or not self.output.exists():
            return
        others = [path.name for path in self.output.iterdir() if not _is_ours(path)]
        if others:
            raise JobError(
                f"{self.shown} has files that no job has written, such as {min(others)!r}; choose another output"
            )

    def files(self, *, output: bool) -> list[Path]:
        """Files of results: those of the finished output, if wanted, then the parts of unfinished runs."""
        suffix, found = self.sink.suffix, list[Path]()
        if output and self.is_folder:
            found += sorted(self.output.glob(f"part-*{suffix}"))
        elif output and self.output.exists():
            found.append(self.output)
        return found + sorted(self.parts.glob(f"part-*{suffix}"), key=lambda path: (path.stat().st_mtime_ns, path.name))

    def remove_parts(self) -> None:
        """Remove the parts, their manifest first: without it, the others are known to be left over."""
        if not self.parts.exists():
            return
        self.part_manifest.unlink(missing_ok=True)
        for path in self.parts.iterdir():
            if _is_ours(path):
                path.unlink()
        with suppress(OSError):  # it has other files, or is a link
            self.parts.rmdir()

    def has_parts(self) -> bool:
        """Whether an unfinished run has written results."""
        return next(self.parts.glob(f"part-*{self.sink.suffix}"), None) is not None

    def clear_staged(self) -> None:
        """Remove what a killed run left while it wrote the output."""
        unfinished = self.output.parent.glob(f".{glob.escape(self.manifest.name)}.????????")
        for path in (self.staged, *unfinished, *((self.replaced,) if self.output.exists() else ())):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def make_parts(self) -> None:
        """Make the folder of parts.

        Raises:
            JobError: The system refuses.
        """
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobError(f"{self.parts} cannot be made ({reason(error)}); choose another output") from error


def _sink_of(output: Path) -> Sink:
    """The format of an output.

    Raises:
        JobError: Its suffix is unknown.
    """
    suffix = output.suffix.lower()
    if suffix == ".jsonl":
        from panollava_hf.jobs._jsonl import JsonlSink

        return JsonlSink()
    if suffix == ".parquet" or not suffix or output.is_dir():
        from panollava_hf.jobs._parquet import ParquetSink

        return ParquetSink()
    raise JobError(
        f"output {output}: unknown suffix {suffix}; expected a file that ends in .parquet or .jsonl, or a folder"
    )


def _is_ours(path: Path) -> bool:
    """Whether a file in a folder of parts was written by a job, or is what a killed one left of it."""
    name = path.name
    return path.is_file() and (name.startswith(("part-", ".part-", f".{MANIFEST}.", f"{INDEX}")) or name == MANIFEST)
