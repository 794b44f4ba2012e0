"""`panollava ask` with several questions, and what it prints about each."""

import io
import json
import sys

import pytest
from panollava_hf import _contact_sheet
from panollava_hf.cli import _printing, run


def reports(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_answer_follows_its_question(echo, at_endpoint, panorama_file, capsys):
    assert run(["ask", str(panorama_file), "Where is it?", "And that?", *at_endpoint]) == 0
    assert capsys.readouterr().out == (
        "Q: Where is it?\nA: Where is it? (6 images)\n\nQ: And that?\nA: And that? (6 images)\n"
    )
    assert len(echo.requests) == 2


def test_one_question_prints_the_answer_alone(echo, at_endpoint, panorama_file, capsys):
    assert run(["ask", str(panorama_file), "Where is it?", *at_endpoint]) == 0
    assert capsys.readouterr().out == "Where is it? (6 images)\n"


def test_json_has_one_line_per_question(echo, at_endpoint, panorama_file, capsys):
    options = ["--strategy", "describe", "--view-size", "64", "--json"]
    assert run(["ask", str(panorama_file), "A?", "B?", *at_endpoint, *options]) == 0
    first, second = reports(capsys)
    assert [first["question"], second["question"]] == ["A?", "B?"]
    assert first["answer"] == "A? (1 images)"
    assert (first["strategy"], first["calls"]) == ("describe", 7)
    assert second["calls"] == 1, "the descriptions are those of the first question"
    assert (first["image_tokens"], first["prompt_tokens"], first["new_tokens"]) == (70, 700, 49)
    assert first["reasoning"] == "because"
    assert first["model"] == "echo"
    assert first["trained"] is True
    assert first["saved"] == []
    assert {"panorama", "views", "seconds", "note"} <= first.keys()
    assert "error" not in first


def test_a_question_that_fails_does_not_end_the_others(echo, at_endpoint, panorama_file, capsys):
    arguments = ["ask", str(panorama_file), "A?", "fail?", "C?", *at_endpoint]
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert "Q: fail?\nError: echo: the server answered 500\n" in out
    assert "A: C? (6 images)" in out
    assert err == "panollava: 1 of 3 questions have no answer; the first error: echo: the server answered 500\n"
    assert run([*arguments, "--json"]) == 2
    assert [("error" in report, "answer" in report) for report in reports(capsys)] == [
        (False, True),
        (True, False),
        (False, True),
    ]


def test_a_question_that_cannot_be_read_does_not_end_the_others(scene_file, capsys):
    long = "word " * 2100
    assert run(["ask", str(scene_file), "Where is the cube?", long, "--model", "embedded", "--json"]) == 2
    first, second = reports(capsys)
    assert first["answer"]
    assert "error" not in first
    assert "error" in second


def test_a_single_question_that_fails_is_one_line(echo, at_endpoint, panorama_file, capsys):
    assert run(["ask", str(panorama_file), "fail?", *at_endpoint]) == 2
    assert capsys.readouterr() == ("", "panollava: echo: the server answered 500\n")


def test_questions_from_standard_input(echo, at_endpoint, panorama_file, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("A?\n\n  B?  \n"))
    assert run(["ask", str(panorama_file), "-", *at_endpoint, "--json"]) == 0
    assert [report["question"] for report in reports(capsys)] == ["A?", "B?"]


@pytest.mark.parametrize("stdin", [io.StringIO("\n \n"), None, io.TextIOWrapper(io.BytesIO(b"\xff\xfe?\n"), "utf-8")])
def test_standard_input_without_questions_is_a_usage_error(at_endpoint, panorama_file, capsys, monkeypatch, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run(["ask", str(panorama_file), "-", *at_endpoint]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("panollava: standard input ")


def test_a_dry_run_asks_nothing(echo, at_endpoint, panorama_file, capsys):
    arguments = ["ask", str(panorama_file), "A?", "B?", *at_endpoint, "--strategy", "describe", "--dry-run"]
    assert run(arguments) == 0
    assert "describe, 6 views of 448 x 448 pixels, 2 questions" in capsys.readouterr().out
    assert run([*arguments, "--json"]) == 0
    (cost,) = reports(capsys)
    assert (cost["calls"], cost["image_tokens"], cost["views"]) == (8, 8 * 60, 6)
    assert echo.requests == []


def test_a_budget_that_does_not_suffice_sends_nothing(echo, at_endpoint, panorama_file, capsys):
    arguments = ["ask", str(panorama_file), "A?", *at_endpoint, "--strategy", "describe"]
    assert run([*arguments, "--budget", "3calls"]) == 2
    assert "7 calls" in capsys.readouterr().err
    assert echo.requests == []
    assert run([*arguments, "--budget", "7calls"]) == 0
    assert len(echo.requests) == 7
    assert run([*arguments, "--budget", "much"]) == 2
    assert "the budget 'much' cannot be read" in capsys.readouterr().err


def test_views_that_are_equal_are_saved_once(echo, at_endpoint, panorama_file, tmp_path, capsys):
    folder = tmp_path / "views"
    options = [*at_endpoint, "--save-views", str(folder), "--view-size", "32"]
    assert run(["ask", str(panorama_file), "A?", "B?", "--json", *options]) == 0
    first, second = reports(capsys)
    assert first["saved"] == second["saved"]
    assert len(first["saved"]) == 7
    assert not list(folder.glob("question_*"))


def test_views_that_differ_get_a_folder_for_each_question(echo, at_endpoint, panorama_file, tmp_path, monkeypatch):
    from panollava_hf.asking import Answerer
    from panollava_hf.cli._ask import _write_views

    answerer = Answerer.load("echo", base_url="http://127.0.0.1:9/v1", view_size=32)
    found = [answerer.answer(str(panorama_file), "A?", strategy=name) for name in ("views", "erp")]
    written = _write_views(found, tmp_path, answerer.prepare(str(panorama_file)).image, ["A?", "A?"])
    assert [len(files) for files in written] == [7, 2]
    assert (tmp_path / "question_02" / _contact_sheet.SHEET_NAME).is_file()


@pytest.mark.parametrize("option", [["--json"], ["--dry-run"], ["--save-views", "x"], ["--budget", "3"]])
def test_a_chat_takes_no_options_of_single_questions(at_endpoint, panorama_file, capsys, monkeypatch, option):
    for name in ("stdin", "stdout"):
        monkeypatch.setattr(getattr(sys, name), "isatty", lambda: True, raising=False)
    assert run(["ask", str(panorama_file), *option, *at_endpoint]) == 2
    assert "need a question" in capsys.readouterr().err


def printed(pieces, text, capsys):
    stream = _printing.Streamed()
    for piece in pieces:
        stream(piece)
    stream.end(text)
    return capsys.readouterr().out


def test_what_was_streamed_is_not_printed_again(capsys):
    assert printed(["  A red", " door", ".  "], "A red door.", capsys) == "A red door.  \n"
    assert printed([], "A red door.", capsys) == "A red door.\n"
    assert printed(["A red"], "A red door.", capsys) == "A red door.\n"
    assert printed(["Hm."], "A door.", capsys) == "Hm.\n\nA door.\n"
    assert printed(["a\x1b[2Jb"], "a\x1b[2Jb", capsys) == "a\\x1b[2Jb\n"


def test_a_question_without_quotes(echo, at_endpoint, panorama_file, capsys):
    assert run(["ask", str(panorama_file), "What", "is", "behind", "me?", *at_endpoint]) == 2
    text = "got 4 questions of one word each; put a question in quotes: 'What is behind me?'"
    assert capsys.readouterr().err == f"panollava: {text}\n"
    assert run(["ask", str(panorama_file), "What?", "Where?", *at_endpoint]) == 0
    assert run(["ask", str(panorama_file), "뒤에무엇이있나요", "왼쪽은", *at_endpoint]) == 0


def test_the_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("panollava-hf ")
