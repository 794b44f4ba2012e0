"""A small job without a model, which counts what it computes in a file, and a source that is a list."""

import hashlib
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from panollava_geometry import PanoramaWarning
from panollava_hf._errors import JobError
from panollava_hf.jobs._job import Job


class CountingJob(Job):
    """A text and a vector of each id. Ids with "bad" cannot be read; ids with "kill" end the process."""

    columns = ("text", "vector")
    batch_size = 4
    part_rows = 8

    def __init__(self, log, setting="a", seconds=0.0):
        super().__init__()
        self.log, self.setting, self.seconds = str(log), setting, seconds

    def settings(self):
        return {"setting": self.setting}

    def load(self):
        _append(self.log + ".loads", "load")
        return object()

    def read(self, item):
        if "bad" in item.id:
            raise ValueError(f"{item.path}: {len(item.id)} is bad")
        if "odd" in item.id:
            for _ in range(2):
                warnings.warn(PanoramaWarning(f"{item.path}: its {len(item.id)} fields are odd"), stacklevel=2)
        return item.image

    def compute(self, items, inputs):
        for item in items:
            _append(self.log, item.id)
            if "kill" in item.id:
                os.kill(os.getpid(), 9)
        time.sleep(self.seconds)
        return [result(item.id) for item in items]

    def schema(self):
        import pyarrow as pa

        text, vector = pa.string(), pa.list_(pa.float32(), 3)
        return pa.schema([("id", text), ("path", text), ("text", text), ("vector", vector), ("error", text)])


class AskingJob(CountingJob):
    """A job whose model does not know the answer for ids with "door"."""

    columns = ("text", "note")
    answer_column = "text"

    def compute(self, items, inputs):
        for item in items:
            _append(self.log, item.id)
        return [
            {"text": None, "note": f"{item.id} is a door"} if "door" in item.id else {"text": "", "note": None}
            for item in items
        ]

    schema = Job.schema


class FailingJob(CountingJob):
    """Its model does not exist."""

    def load(self):
        raise JobError("no such model")


def result(name):
    """What the job computes, by itself."""
    import numpy as np

    digest = hashlib.sha256(name.encode()).digest()
    return {"text": f"{name} ✓", "vector": np.frombuffer(digest[:3], np.uint8).astype(np.float32) / 3}


def _append(path, line):
    with open(path, "a") as stream:
        stream.write(line + "\n")


@dataclass
class ListSource:
    """A source of ids."""

    names: list
    name: str = "a list"
    notes: tuple = ()

    def __len__(self):
        return len(self.names)

    def fingerprint(self):
        return hashlib.sha256("\n".join(self.names).encode()).hexdigest()

    def ids(self, start, stop):
        return self.names[start:stop]

    def rows(self, start, stop):
        return [{"id": n, "path": f"dir/{n}.jpg", "image": f"dir/{n}.jpg"} for n in self.names[start:stop]]


def computed(log):
    """The ids that were computed, in order."""
    return Path(log).read_text().split("\n")[:-1] if Path(log).exists() else []
