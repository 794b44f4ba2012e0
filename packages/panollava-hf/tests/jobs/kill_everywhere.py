"""Kills a run before each operation that changes its files, lets another run go on, and compares the results.

Arguments: an empty folder, the name of the output, and whether the source has grown since an earlier run. Prints one
JSON object. A run is a fork of this process, so that libraries are imported once.
"""

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from counting import CountingJob, ListSource, computed
from panollava_hf.jobs import _jsonl, _parquet, run_job  # noqa: F401

FOLDER, OUTPUT, GROWN = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "grown"
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "shutil.rmtree"}
os.fsync = lambda handle: None  # only a power cut needs it, and it is slow
BEFORE = [f"p{i}" for i in range(0, 24, 3)] + ["bad1"]
NAMES = [f"p{i}" for i in range(22)] + ["bad1", "bad2"]


def run(folder, names, kill_at=None):
    """Run the job in a fork, killed before an operation; whether it ended by itself."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    if kill_at is not None:
        seen = [0]

        def count(event, arguments):
            inside = event in EVENTS and str(folder) in os.fsdecode(arguments[0])
            if inside and threading.current_thread() is threading.main_thread():
                reads = event == "open" and not arguments[2] & os.O_CREAT
                seen[0] += not reads and "log" not in os.fsdecode(arguments[0])
                if seen[0] == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
    run_job(CountingJob(folder / "log"), ListSource(names), folder / OUTPUT, progress=False)
    os._exit(0)


def content(folder):
    """All files but the manifest, whose figures are those of the last run."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("log")]
    return {
        str(path.relative_to(folder)): b"" if path.name.endswith("manifest.json") else path.read_bytes()
        for path in files
    }


def prepared(name):
    folder = FOLDER / name
    folder.mkdir()
    if GROWN:
        assert run(folder, BEFORE)
        (folder / "log").unlink()
    return folder


whole = prepared("whole")
assert run(whole, NAMES)
expected, needed = content(whole), sorted(computed(whole / "log"))
moments, wrong, twice = 0, [], 0
while True:
    folder = prepared("killed")
    moments += 1
    if run(folder, NAMES, moments):
        break
    if not run(folder, NAMES) or content(folder) != expected:
        wrong.append(moments)
    again = sorted(computed(folder / "log"))
    if sorted(set(again)) != sorted(set(needed)):
        wrong.append(-moments)
    twice = max(twice, len(again) - len(needed))
    shutil.rmtree(folder)
print(json.dumps({"moments": moments, "wrong": wrong, "twice": twice, "files": sorted(expected)}))
