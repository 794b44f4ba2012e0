"""`panollava answer` and `caption -o` at an endpoint: resumed, repeated, stopped and killed runs."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest

pytest.importorskip("openai")

from loopback import failed, fine, serve
from panollava_hf.asking.models import _endpoint
from panollava_hf.cli import run
from PIL import Image
from rows_at_endpoint import Endpoint, fails

KEY = "sk-secret-of-the-run-0123456789"
BATCH = 8
#: Batches in work at a time: one that is finished, those that are read ahead, and one that is being read.
IN_WORK = 4


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """A key, and no waiting between tries."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(_endpoint, "time", types.SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def table(tmp_path):
    """A table with 200 questions about four panoramas."""
    for number in range(4):
        Image.fromarray(np.full((64, 128, 3), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
    lines = [
        json.dumps({"id": f"row-{n}", "image": f"{n % 4}.png", "question": f"What is in room {n}?"}) for n in range(200)
    ]
    (tmp_path / "table.jsonl").write_text("\n".join(lines))
    return tmp_path / "table.jsonl"


def results(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def arguments(table, url, *more):
    output = ["-o", str(table.parent / "answers.jsonl"), "--base-url", url, "--model", "m"]
    return ["answer", str(table), *output, "--view-size", "16", "--batch-size", str(BATCH), *more]


def test_rows_that_have_an_answer_are_never_asked_again(table, capsys):
    endpoint, output = Endpoint(together=3), table.parent / "answers.jsonl"
    with serve(endpoint) as server:
        command = arguments(table, server.url, "--concurrency", "3")
        assert run(command) == 1
        err = capsys.readouterr().err
        assert "195 of 200 rows" in err
        assert KEY not in err
        first = dict(endpoint.asked)
        assert [number for number, row in enumerate(results(output)) if row["error"]] == [33, 73, 113, 153, 193]
        assert [row["id"] for row in results(output)] == [f"row-{number}" for number in range(200)]
        assert run(command) == 1  # nothing to do
        assert dict(endpoint.asked) == first
        endpoint.healthy = True
        assert run([*command, "--retry-errors"]) == 0
    again = {number: count - first[number] for number, count in endpoint.asked.items()}
    assert again == {number: int(fails(number)) for number in range(200)}
    assert [row["answer"] for row in results(output)] == [f"room {number}" for number in range(200)]
    assert endpoint.most == 3
    assert KEY not in "".join(path.read_text() for path in table.parent.iterdir() if path.suffix != ".png")


def test_a_stopped_run_goes_on(table, capsys):
    """The key expires after 100 requests: one line, exit code 2, and what is done is kept."""
    endpoint, output = Endpoint(), table.parent / "answers.jsonl"
    endpoint.healthy, endpoint.refuse_after = True, 100
    with serve(endpoint) as server:
        command = arguments(table, server.url, "--concurrency", "4")
        assert run(command) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len([line for line in lines if line.startswith("panollava: ")]) == 1
        assert "the key was refused (401)" in lines[-1]
        assert lines[-1].endswith("finished results are kept; run the same command again to go on")
        assert not output.exists()
        endpoint.refuse_after = None
        assert run(command) == 0
    assert [row["answer"] for row in results(output)] == [f"room {number}" for number in range(200)]
    assert endpoint.asked.total() - 200 <= IN_WORK * BATCH


def test_a_killed_run_goes_on(table):
    """Two processes are killed; each has its share of the requests, and the key of its environment."""
    endpoint, output = Endpoint(), table.parent / "answers.jsonl"
    endpoint.healthy, endpoint.hold_after = True, 70
    with serve(endpoint) as server:
        command = arguments(table, server.url, "--concurrency", "4")
        program = subprocess.Popen(
            [sys.executable, "-m", "panollava_hf", *command, "--workers", "2"], stderr=subprocess.DEVNULL
        )
        with endpoint.changed:
            assert endpoint.changed.wait_for(lambda: endpoint.asked.total() > 72, timeout=90)
        program.kill()
        program.wait()
        endpoint.released.set()
        before, endpoint.hold_after = dict(endpoint.asked), None
        assert run(command) == 0
    assert [row["answer"] for row in results(output)] == [f"room {number}" for number in range(200)]
    assert max(endpoint.asked.values()) <= 2
    assert sum(endpoint.asked[number] > before[number] for number in before) <= 2 * IN_WORK * BATCH
    assert endpoint.most <= 4
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("status", [401, 404])
def test_an_endpoint_that_refuses_all_is_one_line(table, capsys, status):
    with serve(failed(status, "no such thing")) as server:
        assert run(arguments(table, server.url)) == 2
    err = capsys.readouterr().err
    assert err.count("panollava: ") == 1
    assert len(server.requests) <= 2  # that of the first row, and perhaps of one that was read meanwhile
    assert not (table.parent / "answers.jsonl").exists()


def test_the_cost_is_printed_and_nothing_is_sent(table, capsys):
    with serve(fine()) as server:
        command = arguments(table, server.url, "--dry-run")
        assert run([*command, "--json"]) == 0
        cost = json.loads(capsys.readouterr().out)
        assert (cost["rows"], cost["asked"], cost["calls"], cost["images"]) == (200, 200, 200, 1200)
        assert cost["prompt_tokens"] is None  # the server counts them
        assert cost["estimate"] is True
        assert run([*command, "--strategy", "describe"]) == 0
        out = capsys.readouterr().out
        # 25 batches of 8 rows, with 4 panoramas each that are described once
        assert out.splitlines()[0] == "200 rows: strategy describe, 6 views of 16 x 16 pixels:"
        assert out.splitlines()[2].split()[:3] == ["describe", "600", "600"]
        assert out.splitlines()[4].split()[:2] == ["total", "800"]
        assert "An estimate, from one panorama of the source" in out
        command.remove("--dry-run")
        assert run([*command, "--budget", "199calls"]) == 2
        assert "takes up to 200 calls, but the budget is 199 calls" in capsys.readouterr().err
        assert server.requests == []
    assert not (table.parent / "answers.jsonl").exists()


def test_what_a_dry_run_says_is_what_a_job_takes(table, capsys):
    """With a model in this process, which counts tokens."""
    command = ["answer", str(table), "--model", "embedded", "--max-new-tokens", "2", "--limit", "10"]
    assert run([*command, "--dry-run", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert run([*command, "-o", str(table.parent / "answers.jsonl")]) == 3  # these images are not scenes
    rows = results(table.parent / "answers.jsonl")
    assert cost["calls"] == sum(row["calls"] for row in rows) == 10
    assert cost["image_tokens"] == sum(row["image_tokens"] for row in rows)
    assert cost["prompt_tokens"] == sum(row["prompt_tokens"] for row in rows)
    assert cost["new_tokens"] >= sum(row["new_tokens"] for row in rows)


def test_a_folder_has_one_question_or_captions(table, capsys):
    folder, output = table.parent, table.parent / "found.jsonl"
    table.unlink()
    with serve(lambda request: fine("a wall")) as server:
        options = ["-o", str(output), "--base-url", server.url, "--model", "m", "--view-size", "16"]
        assert run(["answer", str(folder), *options]) == 2
        assert "ask all panoramas one question with --question" in capsys.readouterr().err
        assert run(["answer", str(folder), *options, "--question", "What is here?"]) == 0
        assert [row["question"] for row in results(output)] == ["What is here?"] * 4
        captions = folder / "captions.jsonl"
        options[1] = str(captions)
        assert run(["caption", str(folder), *options, "--per-view"]) == 0
        assert [len(row["views"]) for row in results(captions)] == [6] * 4
        assert run(["caption", str(folder), *options]) == 2  # another job
        assert run(["caption", str(folder), str(folder), *options]) == 2
        assert "one source" in capsys.readouterr().err
        assert run(["caption", str(folder / "0.png"), *options[2:], "--limit", "3"]) == 2
        assert "--limit is for many panoramas" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--question", "Why?"], "has questions of its own; remove --question"),
        (["--question", " "], "--question is empty"),
        (["--concurrency", "5", "--workers", "2"], "cannot be divided among 2 workers"),
        (["--engine", "spark"], "--engine spark"),
        (["--json"], "--json prints the cost of a --dry-run"),
        (["--device", "cpu"], "remove --device"),
        (["--column", "question=nothing"], "has no column 'nothing' for question"),
    ],
)
def test_options_that_cannot_be_used(table, capsys, more, message):
    assert run(arguments(table, "http://127.0.0.1:9/v1", *more)) == 2
    assert message in capsys.readouterr().err


def test_options_of_multiple_choice_questions_are_not_shown(table, capsys):
    row = {"image": "0.png", "question": "What is in room 1?", "options": ["a door", "a wall"]}
    table.write_text(json.dumps(row))
    with serve(fine("a door")) as server:
        assert run(arguments(table, server.url)) == 0
        assert "a wall" not in json.dumps(server.requests)
    assert "not shown the column 'options'; `panollava eval` asks" in capsys.readouterr().err


def test_an_output_is_needed(table, capsys):
    assert run(["answer", str(table), "--model", "embedded"]) == 2
    assert "name one with -o" in capsys.readouterr().err
    assert run(["answer", str(table), "--model", "embedded", "-o", "a.jsonl", "--concurrency", "2"]) == 2
    assert "--concurrency is for endpoints" in capsys.readouterr().err
