"""A job on all rows of a source, by the engine of one machine."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from panollava_hf.jobs import run_job

sys.path.insert(0, str(Path(__file__).parent))
from counting import CountingJob, ListSource, computed, result

NAMES = [f"p{i}" for i in range(34)]


def read(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pq.read_table(path).to_pylist()


def expected(name):
    found = {"id": name, "path": f"dir/{name}.jpg", "text": None, "vector": None, "error": None}
    if "bad" in name:
        return found | {"error": f"dir/{name}.jpg: {len(name)} is bad"}
    values = result(name)
    return found | {"text": values["text"], "vector": values["vector"].tolist()}


def go(tmp_path, names=NAMES, output="out.parquet", job=None, **options):
    job = job or CountingJob(tmp_path / "log")
    return run_job(job, ListSource(list(names)), tmp_path / output, progress=False, **options)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("output", ["out.parquet", "out.jsonl", "out"])
def test_results_are_in_the_order_of_the_source(tmp_path, output, workers):
    names = [*NAMES, "bad1", "p99", "bad22"]
    summary = go(tmp_path, names, output, workers=workers)
    assert read(tmp_path / output) == [expected(name) for name in names]
    assert (summary.total, summary.done, summary.failed, summary.computed) == (37, 35, 2, 37)
    assert summary.kinds == {"N is bad": 2}
    assert summary.exit_code == 1
    assert sorted(computed(tmp_path / "log")) == sorted(name for name in names if "bad" not in name)
    kept = {
        "out.parquet": {"out.parquet", "out.parquet.manifest.json"},
        "out.jsonl": {"out.jsonl", "out.jsonl.manifest.json"},
    }
    assert {path.name for path in tmp_path.iterdir()} - {"log", "log.loads"} == kept.get(output, {"out"})
