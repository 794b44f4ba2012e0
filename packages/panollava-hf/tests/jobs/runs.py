"""Runs of the counting job, and what their results are."""

import json

import pyarrow.parquet as pq
from counting import CountingJob, ListSource, result
from panollava_hf.jobs import run_job

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
