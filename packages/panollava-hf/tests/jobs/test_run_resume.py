"""A run goes on with what earlier ones have computed: same job, grown source, errors again, and what cannot go on."""

import os
import shutil

import pytest
from counting import AskingJob, CountingJob, ListSource, computed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panollava_hf._errors import JobError
from panollava_hf.jobs import run_job
from panollava_hf.jobs._place import Place
from runs import NAMES, expected, go, read

OUTPUTS = ["out.parquet", "out.jsonl", "out"]


def content(path):
    """The bytes of an output."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir() if file.suffix != ".json"}
    return path.read_bytes()


def stop_after(monkeypatch, rows, error=KeyboardInterrupt):
    """Let the job be interrupted when it has computed some rows."""
    compute, count = CountingJob.compute, [0]

    def stopping(self, items, inputs):
        count[0] += len(items)
        if count[0] > rows:
            raise error
        return compute(self, items, inputs)

    monkeypatch.setattr(CountingJob, "compute", stopping)


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, output):
    go(tmp_path, output=f"whole/{output}")
    (tmp_path / "log").unlink()
    with monkeypatch.context() as patch:
        stop_after(patch, 16)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path, output=output)
    assert not (tmp_path / output).exists()
    summary = go(tmp_path, output=output)
    assert (summary.computed, summary.resumed, summary.done) == (18, 16, 34)
    assert content(tmp_path / output) == content(tmp_path / "whole" / output)
    assert sorted(set(computed(tmp_path / "log"))) == sorted(NAMES)
    assert computed(tmp_path / "log").count("p3") == 1


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_the_model_does_not_know_is_counted_in_every_run(tmp_path, monkeypatch, output):
    names = ["door 1", *NAMES[:11], "door 2", *NAMES[11:], "bad", "door 3"]

    def run(names):
        summary = go(tmp_path, names, output, job=AskingJob(tmp_path / "log"))
        texts = [(kind.rows, kind.text) for kind in summary.unknown_kinds]
        return summary.done, summary.unknown, summary.failed, summary.exit_code, summary.computed, texts

    with monkeypatch.context() as patch:
        patch.setattr(AskingJob, "compute", stopped_at(AskingJob.compute, "p13"))
        with pytest.raises(KeyboardInterrupt):
            run(names)
    assert run(names[:-2]) == (34, 2, 0, 3, 28, [(2, "door 1 is a door")])  # one part was finished
    assert run(names[:-2]) == (34, 2, 0, 3, 0, [(2, "door 1 is a door")])
    assert run(names) == (34, 3, 1, 1, 2, [(3, "door 1 is a door")])


def stopped_at(compute, name):
    """`compute`, which is interrupted at a row."""

    def stopping(self, items, inputs):
        if name in [item.id for item in items]:
            raise KeyboardInterrupt
        return compute(self, items, inputs)

    return stopping


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_complete_output_needs_no_model(tmp_path, output):
    first = go(tmp_path, [*NAMES, "bad"], output)
    before = content(tmp_path / output)
    (tmp_path / "log.loads").unlink()
    again = go(tmp_path, [*NAMES, "bad"], output)
    assert again.complete_before
    assert (again.total, again.done, again.failed) == (35, 34, 1)
    assert [(kind.rows, kind.text) for kind in again.kinds] == [(kind.rows, kind.text) for kind in first.kinds]
    assert (again.computed, again.resumed, again.exit_code) == (0, 35, 1)
    assert "already complete" in again.lines()[0]
    assert content(tmp_path / output) == before
    assert not (tmp_path / "log.loads").exists()


@pytest.mark.parametrize("output", OUTPUTS)
def test_only_rows_with_errors_are_computed_again(tmp_path, output):
    names = [*NAMES, "bad1", "bad2"]
    go(tmp_path, names, output)
    (tmp_path / "log").unlink()
    (tmp_path / "log.loads").unlink()

    class Repaired(CountingJob):
        def read(self, item):
            return item.image if item.id == "bad2" else super().read(item)

    Repaired.__name__ = "CountingJob"
    summary = go(tmp_path, names, output, Repaired(tmp_path / "log"), retry_errors=True)
    assert (summary.computed, summary.done, summary.failed) == (2, 35, 1)
    assert computed(tmp_path / "log") == ["bad2"]
    rows = read(tmp_path / output)
    assert rows[:-1] == [expected(name) for name in names[:-1]]
    assert rows[-1]["text"] == "bad2 ✓"


def test_nothing_is_left_to_retry(tmp_path):
    go(tmp_path)
    assert go(tmp_path, retry_errors=True).complete_before


@pytest.mark.parametrize("output", OUTPUTS)
def test_no_resume_replaces_the_output_when_it_is_complete(tmp_path, monkeypatch, output):
    go(tmp_path, output=output)
    before = content(tmp_path / output)
    job = CountingJob(tmp_path / "log", setting="other")
    with monkeypatch.context() as patch:
        stop_after(patch, 16)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path, NAMES[5:], output, job, resume=False)
    assert content(tmp_path / output) == before
    (tmp_path / "log").unlink()
    summary = go(tmp_path, NAMES[5:], output, job)
    assert summary.computed == 13
    assert [row["id"] for row in read(tmp_path / output)] == NAMES[5:]
    assert computed(tmp_path / "log") == NAMES[21:]


def test_no_resume_computes_everything(tmp_path):
    go(tmp_path)
    assert go(tmp_path, resume=False).computed == 34
    assert go(tmp_path).complete_before


def test_a_limit_is_lifted(tmp_path):
    assert go(tmp_path, limit=13).total == 13
    assert [row["id"] for row in read(tmp_path / "out.parquet")] == NAMES[:13]
    assert go(tmp_path).computed == 21
    assert computed(tmp_path / "log") == NAMES
    assert go(tmp_path, limit=4).computed == 0
    assert [row["id"] for row in read(tmp_path / "out.parquet")] == NAMES[:4]


@pytest.mark.parametrize("complete", [True, False])
def test_another_job_or_source_needs_another_output(tmp_path, monkeypatch, complete):
    with monkeypatch.context() as patch:
        if not complete:
            stop_after(patch, 16)
        try:
            go(tmp_path)
        except KeyboardInterrupt:
            pass
    with pytest.raises(JobError, match=r"results with setting 'a', but 'b' was asked for; .*--no-resume"):
        go(tmp_path, job=CountingJob(tmp_path / "log", "b"))
    with pytest.raises(JobError, match=r"source 'a list', but 'another' was asked for; .*--no-resume"):
        run_job(CountingJob(tmp_path / "log"), ListSource(NAMES, "another"), tmp_path / "out.parquet", progress=False)
    assert go(tmp_path).done == 34


@pytest.mark.parametrize("how", ["fails", "killed"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_run_without_results_does_not_block_other_settings(tmp_path, monkeypatch, how, resume):
    if not resume:
        go(tmp_path)
    before = content(tmp_path / "out.parquet") if not resume else None
    with monkeypatch.context() as patch:
        stop_after(patch, 0)
        if how == "killed":  # nothing is removed after SIGKILL
            patch.setattr(Place, "has_parts", lambda self: True)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path, job=CountingJob(tmp_path / "log", "b"), resume=resume)
    assert (tmp_path / "out.parquet.parts").exists() is (how == "killed")
    if not resume:
        assert content(tmp_path / "out.parquet") == before
    assert go(tmp_path).done == 34
    assert not (tmp_path / "out.parquet.parts").exists()


def test_a_source_by_another_path_is_the_same(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for name in "ab":
        (tmp_path / "photos" / f"{name}.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    job, output = CountingJob(tmp_path / "log"), tmp_path / "out.jsonl"
    assert run_job(job, "photos", output, progress=False).computed == 2
    for same in ("./photos", tmp_path / "photos", "link"):
        assert run_job(job, same, output, progress=False).complete_before
    shutil.copytree("photos", "other")
    with pytest.raises(JobError, match="results of the source 'photos', but 'other' was asked for"):
        run_job(job, "other", output, progress=False)


def test_an_output_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "out.parquet").write_text("mine")
    with pytest.raises(JobError, match="already exists, and has no manifest"):
        go(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for resume in (True, False):
        with pytest.raises(JobError, match=r"already exists|thesis\.txt"):
            go(tmp_path, output="out", resume=resume)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"
    assert go(tmp_path, resume=False).done == 34


def test_a_changed_output_is_an_error(tmp_path):
    go(tmp_path)
    (tmp_path / "out.parquet").write_bytes((tmp_path / "out.parquet").read_bytes()[:-1])
    with pytest.raises(JobError, match=r"bytes, but the job wrote"):
        go(tmp_path)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_removed_output_is_made_again(tmp_path, output):
    go(tmp_path, output=output)
    path = tmp_path / output
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert go(tmp_path, output=output).computed == 34


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[:-1]],
    ids=["half", "empty", "short"],
)
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_damaged_part_is_computed_again(tmp_path, monkeypatch, output, damage):
    with monkeypatch.context() as patch:
        stop_after(patch, 24)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path, output=output)
    _, second, _ = sorted((tmp_path / f"{output}.parts").glob("part-*"))
    second.write_bytes(damage(second.read_bytes()))
    second.chmod(0o444)
    assert go(tmp_path, output=output).computed == 18
    assert read(tmp_path / output) == [expected(name) for name in NAMES]


def test_a_damaged_manifest_is_an_error(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 16)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path)
    manifest = tmp_path / "out.parquet.parts" / "_manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:40])
    with pytest.raises(JobError, match=r"_manifest\.json cannot be read, or is damaged .*--no-resume"):
        go(tmp_path)
    assert go(tmp_path, resume=False).done == 34


def test_a_linked_output_leads_to_its_file(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out.parquet").symlink_to(tmp_path / "disk" / "real.parquet")
    go(tmp_path)
    assert (tmp_path / "out.parquet").is_symlink()
    assert read(tmp_path / "disk" / "real.parquet") == [expected(name) for name in NAMES]
    assert go(tmp_path, output="disk/real.parquet").complete_before


def test_a_second_process_gets_one_line(tmp_path, monkeypatch):
    lines = []

    def second(self, items, inputs):
        with pytest.raises(JobError) as caught:
            go(tmp_path)
        lines.append(str(caught.value))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CountingJob, "compute", second)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path)
    assert len(lines) == 1
    assert "another process is working on" in lines[0]
    assert go(tmp_path).done == 34


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(JobError, match="out"):
        go(tmp_path)


ids = st.lists(st.sampled_from([f"{kind}{i}" for kind in ("p", "bad") for i in range(12)]), unique=True, min_size=1)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(st.tuples(ids, st.booleans(), st.one_of(st.none(), st.integers(0, 20))), min_size=1, max_size=4),
    output=st.sampled_from(OUTPUTS),
)
def test_changed_sources(tmp_path_factory, runs, output):
    """Against a model of what has to be computed, with runs that are interrupted."""
    tmp_path = tmp_path_factory.mktemp("runs")
    log = tmp_path / "log"
    kept = set()  # rows without an error in finished parts
    for names, retry, stop in runs:
        log.unlink(missing_ok=True)
        before = set(kept)
        with pytest.MonkeyPatch.context() as patch:
            if stop is not None:
                stop_after(patch, stop)
            try:
                summary = go(tmp_path, names, output, retry_errors=retry)
            except KeyboardInterrupt:
                summary = None
        good = {name for name in names if "bad" not in name}
        assert not set(computed(log)) & before  # nothing that is known is computed again
        if summary is not None:
            assert set(computed(log)) == good - before
            assert read(tmp_path / output) == [expected(name) for name in names]
            failed = len(names) - len(good)
            assert (summary.done, summary.failed) == (len(good), failed)
            kept = good
        else:
            kept |= {name for file in (tmp_path / f"{output}.parts").glob("part-*") for name in good_ids(file)}


def good_ids(file):
    return {row["id"] for row in read(file) if row["error"] is None}
