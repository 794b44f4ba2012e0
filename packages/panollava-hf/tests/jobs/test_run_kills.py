"""Runs that are killed: before each operation on files, at random moments, in workers; full disks and Ctrl-C."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from counting import CountingJob, ListSource, computed
from panollava_hf._errors import JobError
from panollava_hf.jobs import run_job
from runs import NAMES, expected, go, read

HERE = Path(__file__).parent


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("output", "before"),
    [
        ("out.jsonl", "grown"),
        pytest.param("out.jsonl", "new", marks=pytest.mark.slow),
        pytest.param("out.parquet", "grown", marks=pytest.mark.slow),
        pytest.param("out", "grown", marks=pytest.mark.slow),
    ],
)
def test_killed_before_each_operation(tmp_path, output, before):
    command = [sys.executable, str(HERE / "kill_everywhere.py"), str(tmp_path), output, before]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["moments"] > 20
    assert found["twice"] <= CountingJob.part_rows


def script(tmp_path, names, workers=1, seconds=0.01, output="out.parquet"):
    """A process that runs the job."""
    code = (
        "from counting import CountingJob, ListSource\n"
        "from panollava_hf.jobs import run_job\n"
        "if __name__ == '__main__':\n"
        f"    job = CountingJob({str(tmp_path / 'log')!r}, seconds={seconds})\n"
        f"    run_job(job, ListSource({names!r}), {str(tmp_path / output)!r}, workers={workers})\n"
    )
    path = tmp_path / "log_script.py"
    path.write_text(code)
    return subprocess.Popen(
        [sys.executable, str(path)], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(log, rows):
    """Wait until some rows were computed."""
    until = time.monotonic() + 60
    while len(computed(log)) < rows:
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments(tmp_path, workers):
    names = [f"p{i}" for i in range(100)]
    go(tmp_path, names, "whole.parquet")
    (tmp_path / "log").unlink()
    generator = random.Random(7 + workers)
    for _ in range(3):
        process = script(tmp_path, names, workers)
        wait_for(tmp_path / "log", min(95, len(computed(tmp_path / "log")) + generator.randrange(15, 40)))
        process.kill()
        process.communicate()
    summary = go(tmp_path, names)
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert summary.resumed > 0
    # each kill repeats the parts in work only
    assert len(computed(tmp_path / "log")) <= 100 + 3 * workers * CountingJob.part_rows


def test_a_dead_worker_is_one_line(tmp_path):
    names = [f"p{i}" for i in range(30)] + ["kill"] + [f"p{i}" for i in range(31, 60)]
    with pytest.raises(JobError, match=r"worker \d was ended by SIGKILL while it worked on rows 31 to 40 \(part 3\)"):
        go(tmp_path, names, workers=2)
    assert len(list((tmp_path / "out.parquet.parts").glob("part-*"))) >= 1


def test_an_error_of_a_worker_is_raised(tmp_path):
    class_ = "FailingJob"
    with pytest.raises(JobError, match="no such model"):
        go(tmp_path, job=getattr(__import__("counting"), class_)(tmp_path / "log"), workers=2)


def test_ctrl_c_ends_all_workers(tmp_path):
    names = [f"p{i}" for i in range(100)]
    process = script(tmp_path, names, workers=2, seconds=0.05)
    wait_for(tmp_path / "log", 8)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert "Process panollava" not in stderr  # workers say nothing
    assert go(tmp_path, names).done == 100


def test_a_full_disk_is_one_line(tmp_path):
    """A limit on the size of files stands for it: the system refuses what is longer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(JobError, match=r"part-000000-\w+\.jsonl cannot be written .* same command again to go on"):
            run_job(Long(tmp_path / "log"), ListSource(NAMES), tmp_path / "out.jsonl", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "out.jsonl.parts").glob(".part*"))
    run_job(Long(tmp_path / "log"), ListSource(NAMES), tmp_path / "out.jsonl", progress=False)
    assert len(read(tmp_path / "out.jsonl")) == len(NAMES)


class Long(CountingJob):
    """Its results are long."""

    def compute(self, items, inputs):
        return [values | {"text": "x" * 500} for values in super().compute(items, inputs)]


def test_rows_that_the_source_could_not_read(tmp_path):
    class Table(ListSource):
        def rows(self, start, stop):
            return [
                {"id": "line 2", "error": "line 2 has no image"} if r["id"] == "p1" else r
                for r in super().rows(start, stop)
            ]

    summary = run_job(CountingJob(tmp_path / "log"), Table(NAMES), tmp_path / "out.jsonl", progress=False)
    assert read(tmp_path / "out.jsonl")[1]["error"] == "line 2 has no image"
    assert read(tmp_path / "out.jsonl")[2] == expected("p2")
    assert summary.failed == 1
