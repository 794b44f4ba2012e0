"""A `Work` without models for the tests of the Ray engine; run as a program, it is a job that can be killed.

`python ray_work.py FOLDER` does 200 parts with two workers on a cluster of its own.
"""

import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from panollava_hf.jobs._work import Part, PartReport


@dataclass
class LoggedWork:
    """Writes what it was asked for, and a log of begins and ends. The part `held` ends when the test releases it."""

    folder: Path
    seconds: float = 0.0
    broken: int | None = None
    deadly: int | None = None
    deaths: int = 1000
    waits_for: int = 1
    held: int | None = None
    readers: int | None = None
    threads: int | None = None

    def path_of(self, part):
        return self.folder / f"{part.index:03}.json"

    def log(self, *words):
        with (self.folder / "log").open("a") as file:
            file.write(" ".join(map(str, words)) + "\n")

    def begun(self):
        return [line.split() for line in (self.folder / "log").read_text().splitlines()]

    def release(self):
        (self.folder / "released").touch()

    def do(self, part):
        self.log("begin", part.index, os.getpid())
        if part.index == self.broken:
            raise OSError("no model 'x'\nat all")
        if part.index == self.deadly and sum(w[:2] == ["begin", str(part.index)] for w in self.begun()) <= self.deaths:
            os._exit(1)
        until = time.monotonic() + 60
        while len({words[2] for words in self.begun()}) < self.waits_for and time.monotonic() < until:
            threading.Event().wait(0.02)  # for the other processes
        until += 600  # a busy machine needs more than a minute to report an error
        while part.index == self.held and not (self.folder / "released").exists() and time.monotonic() < until:
            threading.Event().wait(0.02)
        threading.Event().wait(self.seconds)
        temporary = self.path_of(part).with_suffix(".new")
        temporary.write_text(json.dumps({"rows": [part.start, part.stop], "threads": self.threads, "cwd": os.getcwd()}))
        temporary.replace(self.path_of(part))
        self.log("end", part.index, os.getpid())
        return PartReport(part, part.stop - part.start, part.stop - part.start)


def parts(number):
    """Parts of ten rows."""
    return [Part(index, 10 * index, 10 * index + 10) for index in range(number)]


if __name__ == "__main__":
    from panollava_hf.jobs._ray import run_ray

    for report in run_ray(LoggedWork(Path(sys.argv[1]), seconds=0.2), parts(200), 2):
        print(report.part.index, flush=True)
