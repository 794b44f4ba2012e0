"""What a job prints: its progress, its summary, its errors by kind; and the options of its commands."""

from pathlib import Path

import pytest
import typer
from counting import CountingJob, ListSource
from panollava_hf import _console
from panollava_hf._errors import JobError, UsageError
from panollava_hf.cli._job_options import JobOptions, run_command
from panollava_hf.jobs._kinds import MAX_KINDS, Kind, add_kinds, kind_of, rows_of
from panollava_hf.jobs._progress import Progress
from panollava_hf.jobs._summary import Summary
from panollava_hf.jobs._work import Part, PartReport
from runs import NAMES, go


@pytest.mark.parametrize(
    ("error", "names", "kind"),
    [
        ("a b/c: 1.jpg: 640 x 481 pixels", ("a b/c: 1.jpg", "c1"), "N x N pixels"),
        ("1.jpg: broken after 1,024 bytes", ("photos/1.jpg",), "broken after N bytes"),
        ("https://host/a/b.jpg: status 404", (None, "x"), "status N"),
        ("photos/deep/other.jpeg: broken", ("photos/p.jpg",), "broken"),
        ("note: this stays", ("p",), "note: this stays"),
        ("several\nlines", (), "several lines"),
        ("12:1 and 2:15 and 2:1.5, expected 2:1", (), "N:N and N:N and N:N, expected 2:1"),
        (r"dir 1/a\nb 2.jpg: broken", ("dir 1/a\nb 2.jpg", "x"), "broken"),
        ("…" + "y" * 293 + " z.jpg: broken", ("y" * 400 + " z.jpg", "x"), "broken"),
        ("x" * 5000, (), "x" * 119 + "…"),
        ("", ("p",), "an error without a text"),
    ],
)
def test_kinds_of_errors(error, names, kind):
    assert kind_of(error, *names)[0] == kind


def test_a_kind_is_shown_as_the_message_of_its_first_image():
    total = {}
    for name, number in (("photos 7/c.jpg", 12), ("photos 7/a.jpg", 34), ("photos 7/b.jpg", 56)):
        add_kinds(total, [kind_of(f"{name}: {number} bytes of /tmp/run1/x are missing", name)])
    assert list(total.values()) == [Kind(3, "34 bytes of /tmp/run1/x are missing", "photos 7/a.jpg")]


def test_the_number_of_kinds_is_bounded():
    total = {}
    add_kinds(total, [kind_of("kind" + "x" * (i // 50) + "y" * (i % 50), f"{i:03}.jpg") for i in range(MAX_KINDS + 50)])
    add_kinds(total, [kind_of("kind", "000.jpg")] * 4)
    assert (len(total), rows_of(total), total["kind"].rows) == (MAX_KINDS + 1, MAX_KINDS + 54, 5)
    assert total["others"] == Kind(50, "others", "200.jpg")


def test_a_summary_lists_the_most_frequent_kinds():
    kinds = tuple(Kind(10 - place, f"kind {letter}") for place, letter in enumerate("abcdefghij"))
    lines = Summary(
        Path("out.jsonl"), 1000, 945, 55, kinds=kinds[::-1], seconds=50.0, computed=500, resumed=500
    ).lines()
    assert lines[:3] == [
        "Wrote out.jsonl: 945 of 1,000 rows have a result.",
        "500 rows were computed in 50.0 s (100.0 s per 1,000), 500 by an earlier run.",
        "55 failed:",
    ]
    assert lines[3].split() == ["10", "kind", "a"]
    assert lines[11].split(maxsplit=1) == ["3", "… (2 more kinds)"]
    assert lines[12].endswith("add --retry-errors.")


def test_progress_in_a_file_is_a_line_now_and_then(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    _console.console.cache_clear()
    part = Part(0, 0, 100)
    with Progress(1000, 100) as progress:
        for _ in range(60):
            clock[0] += 1
            progress.rows(part, 1)
        clock[0] += 1
        progress.report(PartReport(part, 97, 100, {"broken": Kind(3, "broken")}))
        clock[0] += 10
        progress.rows(Part(1, 100, 200), 10)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert lines[0] == "110 of 1,000 rows, 1.0/s, about 15 min left"
    assert lines[-1] == "210 of 1,000 rows, 1.5/s, about 8 min left, 3 failed"


@pytest.mark.parametrize("workers", [1, 2])
def test_warnings_are_counted_by_kind_and_not_printed_one_by_one(tmp_path, capfd, workers):
    _console.console.cache_clear()
    source = ListSource([f"odd {i:02}" for i in range(30)] + ["odd", "fine", "bad odd"])
    with pytest.raises(typer.Exit):
        run_command(CountingJob(tmp_path / "log"), source, tmp_path / "out.jsonl", JobOptions(workers=workers))
    lines = capfd.readouterr().err.splitlines()
    assert lines[2:5] == [
        "Warnings about images:",
        "      31  its 6 fields are odd (such as dir/odd 00.jpg)",
        "1 failed:",
    ]
    assert len(lines) == 7


def test_a_summary_bounds_the_kinds_of_warnings():
    total = {}
    for number in range(MAX_KINDS + 50):
        add_kinds(total, [kind_of("kind" + "x" * (number // 50) + "y" * (number % 50), f"{number:03}.jpg")])
    add_kinds(total, [("kind", Kind(2, "kind", "z.jpg"))])
    lines = Summary(Path("out.jsonl"), 300, 300, 0, warned=tuple(total.values())).lines()
    assert lines[3] == "      50  others (such as 200.jpg)"
    assert lines[4] == "       3  kind (such as 000.jpg)"
    assert lines[-1].endswith("more kinds)")
    assert len(lines) == 12


@pytest.mark.parametrize("failed", [0, 1])
def test_rows_that_the_model_does_not_know_are_counted_apart(failed):
    kinds = (Kind(2, "this checkpoint does not know the word 'door'", "a.jpg"),)
    summary = Summary(Path("out.jsonl"), 5, 3 - failed, failed, 2, (Kind(1, "broken", "b.jpg"),) * failed, kinds)
    assert summary.exit_code == (1 if failed else 3)
    lines = summary.lines()
    assert lines[0] == f"Wrote out.jsonl: {3 - failed} of 5 rows have a result."
    assert lines[2:5] == [
        "2 have no answer, because of what the model does not know:",
        "       2  this checkpoint does not know the word 'door' (such as a.jpg)",
        "The reason is in `note`.",
    ]
    assert (summary.to_dict()["unknown"], summary.to_dict()["unknown_kinds"]) == (2, {kinds[0].text: 2})


def test_no_progress(capsys):
    go_quietly = Progress(10, 0, show=False)
    with go_quietly:
        go_quietly.report(PartReport(Part(0, 0, 10), 10, 10))
    assert capsys.readouterr().err == ""


def test_a_command_prints_a_summary_and_exits_with_1_for_errors(tmp_path, capsys):
    _console.console.cache_clear()
    job, output = CountingJob(tmp_path / "log"), tmp_path / "out.jsonl"
    source = ListSource([*NAMES, "bad1", "bad22"], notes=("1 file is not an image: a.txt",))
    with pytest.raises(typer.Exit) as stop:
        run_command(job, source, output, JobOptions())
    assert stop.value.exit_code == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[0] == "Note: 1 file is not an image: a.txt"
    assert lines[1] == f"Wrote {output}: 34 of 36 rows have a result."
    assert lines[3:5] == ["2 failed:", "       2  4 is bad (such as dir/bad1.jpg)"]
    good = run_command(job, ListSource(NAMES), tmp_path / "good.jsonl", JobOptions(limit=3, batch_size=2))
    assert good.total == 3


@pytest.mark.parametrize("option", ["workers", "batch_size", "limit"])
def test_impossible_numbers(tmp_path, option):
    with pytest.raises(UsageError, match=f"{option} 0: expected"):
        go(tmp_path, **{option: 0})


def test_impossible_outputs(tmp_path):
    with pytest.raises(JobError, match=r"unknown suffix \.csv; expected"):
        go(tmp_path, output="out.csv")
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(JobError, match="this is a folder"):
        go(tmp_path, output="folder.parquet")
    with pytest.raises(JobError, match="output /: this is the root"):
        go(tmp_path, output="/")
    with pytest.raises(JobError, match="this name is a suffix only"):
        go(tmp_path, output=".parquet")
    (tmp_path / "file").write_text("x")
    for output in ("file", "file/out.parquet"):
        with pytest.raises(JobError, match="file"):
            go(tmp_path, output=output)
    with pytest.raises(UsageError, match="--engine spark: expected local or ray"):
        JobOptions(engine="spark").check()
    with pytest.raises(UsageError, match="engine 'spark'"):
        go(tmp_path, engine="spark")
