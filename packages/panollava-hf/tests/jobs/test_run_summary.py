"""What a job prints: its progress, its summary, its errors by kind; and the options of its commands."""

from collections import Counter
from pathlib import Path

import pytest
import typer
from counting import CountingJob, ListSource
from panollava_hf import _console
from panollava_hf._errors import JobError, UsageError
from panollava_hf.cli._job_options import JobOptions, run_command
from panollava_hf.jobs._progress import Progress
from panollava_hf.jobs._summary import MAX_KINDS, Summary, Warned, add_kinds, add_warned, kind_of
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
    assert kind_of(error, *names) == kind


def test_the_number_of_kinds_is_bounded():
    total = Counter()
    add_kinds(total, Counter({f"kind {'x' * i}": 1 for i in range(MAX_KINDS + 50)}))
    add_kinds(total, Counter({"kind ": 4}))
    assert (len(total), total.total(), total["kind "]) == (MAX_KINDS + 1, MAX_KINDS + 54, 5)
    assert total["other errors"] == 50


def test_a_summary_lists_the_most_frequent_kinds():
    kinds = Counter({f"kind {letter}": 10 - place for place, letter in enumerate("abcdefghij")})
    lines = Summary(Path("out.jsonl"), 1000, 945, 55, kinds, 50.0, 500, 500).lines()
    assert lines[:3] == [
        "Wrote out.jsonl: 945 of 1,000 rows have a result.",
        "500 rows were computed in 50.0 s (100.0 s per 1,000), 500 by an earlier run.",
        "55 failed:",
    ]
    assert lines[3].split() == ["10", "kind", "a"]
    assert lines[11].split(maxsplit=1) == ["3", "… (2 more kinds of errors)"]
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
        progress.report(PartReport(part, 97, 100, Counter({"broken": 3})))
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
        "      31  its N fields are odd (such as dir/odd 00.jpg)",
        "1 failed:",
    ]
    assert len(lines) == 7


def test_a_summary_bounds_the_kinds_of_warnings():
    total = {}
    for number in range(MAX_KINDS + 50):
        add_warned(total, {f"kind {'x' * number}": Warned(1, f"{number}.jpg")})
    add_warned(total, {"kind ": Warned(2, "z.jpg")})
    lines = Summary(Path("out.jsonl"), 300, 300, 0, warned=total).lines()
    assert lines[3] == "      50  other warnings (such as 200.jpg)"
    assert lines[4] == "       3  kind  (such as 0.jpg)"
    assert lines[-1].endswith("more kinds of warnings)")
    assert len(lines) == 12


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
    assert lines[3:5] == ["2 failed:", "       2  N is bad"]
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
