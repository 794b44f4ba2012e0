"""A job on all rows of a source, by the engine of one machine."""

import pyarrow.parquet as pq
import pytest
from counting import computed
from panollava_hf.jobs._kinds import Kind
from panollava_hf.jobs._local import _Process
from runs import NAMES, expected, go, read


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("output", ["out.parquet", "out.jsonl", "out"])
def test_results_are_in_the_order_of_the_source(tmp_path, output, workers):
    names = [*NAMES, "bad1", "p99", "bad22"]
    summary = go(tmp_path, names, output, workers=workers)
    assert read(tmp_path / output) == [expected(name) for name in names]
    assert (summary.total, summary.done, summary.failed, summary.computed) == (37, 35, 2, 37)
    assert summary.kinds == (Kind(2, "4 is bad", "dir/bad1.jpg"),)
    assert summary.exit_code == 1
    assert sorted(computed(tmp_path / "log")) == sorted(name for name in names if "bad" not in name)
    kept = {
        "out.parquet": {"out.parquet", "out.parquet.manifest.json"},
        "out.jsonl": {"out.jsonl", "out.jsonl.manifest.json"},
    }
    assert {path.name for path in tmp_path.iterdir()} - {"log", "log.loads"} == kept.get(output, {"out"})


@pytest.mark.parametrize("output", ["out.parquet", "out.jsonl"])
def test_all_workers_work_and_the_file_is_the_same(tmp_path, monkeypatch, output):
    monkeypatch.setattr("panollava_hf.jobs._parquet.GROUP", 7)
    (tmp_path / "one").mkdir()
    go(tmp_path / "one", NAMES[:20], output)
    begun = []
    monkeypatch.setattr("panollava_hf.jobs._local._Process.__init__", counted(begun))
    go(tmp_path, NAMES[:20], output, workers=2)
    assert len(begun) == 2
    assert (tmp_path / output).read_bytes() == (tmp_path / "one" / output).read_bytes()
    if output == "out.parquet":
        file = pq.ParquetFile(tmp_path / output)
        assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [7, 7, 6]


def counted(begun):
    """The constructor of a process, which is counted."""
    original = _Process.__init__

    def begin(self, work, number):
        begun.append(number)
        original(self, work, number)

    return begin
