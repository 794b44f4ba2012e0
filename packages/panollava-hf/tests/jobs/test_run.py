"""A job on all rows of a source, by the engine of one machine."""

import pytest
from counting import computed
from runs import NAMES, expected, go, read


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
