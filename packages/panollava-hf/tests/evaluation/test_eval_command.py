import json
import re
import shutil

import pytest
from panollava_hf.cli import run
from panollava_hf.evaluation._predictions import PredictionFile

pytestmark = pytest.mark.usefixtures("socket_disabled")


@pytest.fixture(autouse=True)
def embedded(monkeypatch):
    """Commands without `--model` use the embedded checkpoint."""
    monkeypatch.setenv("PANOLLAVA_MODEL", "embedded")


ASKED = {"image": "panorama.png", "question": "What?", "answer": "A room."}


def fails(capsys, *arguments):
    """The one line that reports a usage error."""
    assert run(["eval", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    *notes, line = err.strip().splitlines()
    assert all("Note" in note for note in notes if note.strip()), notes
    return line


def test_a_folder_of_panoshapes(shapes, tmp_path, capsys):
    output = tmp_path / "deep" / "out"
    arguments = [
        "--data",
        shapes,
        "--output",
        output,
        "--shuffle-images",
        "--rotate",
        "random",
        "--max-new-tokens",
        "4",
    ]
    assert run(["eval", *map(str, arguments)]) == 0
    out, err = capsys.readouterr()
    assert "| **all** |" in out
    assert out == (output / "results.md").read_text()
    assert "Wrote" in err
    results = json.loads((output / "results.json").read_text())
    assert set(results["families"]) >= {"what", "where", "count", "attribute", "existence"}
    assert set(results["captions"]) >= {"bleu4", "meteor", "rouge_l", "cider", "count"}
    assert results["model"]["name"] == "embedded"
    assert results["versions"]["transformers"]
    assert results["seconds"] > 0
    assert (output / "directions.png").read_bytes().startswith(b"\x89PNG")
    assert "another --limit (none, now 3);" in fails(
        capsys, "--data", shapes, "--output", output, "--limit", "3", "--max-new-tokens", "4"
    )


def test_named_columns(table, tmp_path, capsys):
    path = table({"photo": "panorama.png", "question": "What?", "answer": "A room."})
    options = ["--data", path, "--output", tmp_path / "out", "--dry-run"]
    assert "set columns.image" in fails(capsys, *options)
    assert "expected ROLE=NAME" in fails(capsys, *options, "--column", "photo")
    assert run(["eval", *map(str, options), "--column", "image=photo"]) == 0
    assert "1 question about 1 panorama" in capsys.readouterr().out


def test_a_dry_run_prints_the_cost_and_writes_nothing(shapes, tmp_path, capsys):
    arguments = ["--data", shapes, "--output", tmp_path / "out", "--dry-run", "--limit", "20", "--max-new-tokens", "4"]
    assert run(["eval", *map(str, arguments)]) == 0
    line = capsys.readouterr().out.strip()
    assert re.fullmatch(
        r"20 questions about \d panoramas, strategy views: at most 20 calls, [\d,]+ image tokens, "
        r"[\d,]+ prompt tokens, 80 new tokens\.",
        line,
    )
    assert not (tmp_path / "out").exists()


def test_captions_of_a_table(table, tmp_path, capsys):
    path = table(ASKED, {**ASKED, "answer": "A bright room."}, {**ASKED, "question": "Describe."})
    assert (
        run(["eval", "--data", str(path), "--output", str(tmp_path / "o"), "--captions", "--max-new-tokens", "2"]) == 0
    )
    results = json.loads((tmp_path / "o" / "results.json").read_text())
    assert results["exact_match"] is None
    assert results["captions"]["count"] == 2  # the first has two references
    assert results["captions"]["references"] == 3
    assert results["directions"] is None
    assert results["places"] is None
    assert not (tmp_path / "o" / "directions.png").exists()
    capsys.readouterr()


def test_unusable_rows_are_listed_or_counted(table, tmp_path, capsys):
    path = table(ASKED, {**ASKED, "answer": None}, {**ASKED, "question": ""}, {**ASKED, "answer": 3})
    line = fails(capsys, "--data", path, "--output", tmp_path / "o")
    assert "2 rows cannot be used: line 2: the answer is blank; line 3: the question is blank" in line
    assert "--skip-bad" in line
    arguments = ["--data", path, "--output", tmp_path / "p", "--max-new-tokens", "2", "--skip-bad"]
    assert run(["eval", *map(str, arguments)]) == 0
    assert "2 rows of the table cannot be used and were left out" in capsys.readouterr().out
    results = json.loads((tmp_path / "p" / "results.json").read_text())
    assert results["skipped"]["rows"] == 2
    assert results["skipped"]["unusable_rows"] == ["line 2: the answer is blank", "line 3: the question is blank"]
    predictions = [json.loads(line) for line in (tmp_path / "p" / "predictions.jsonl").read_text().splitlines()]
    assert [(one["row"], one["answer"]) for one in predictions] == [(0, ASKED["answer"]), (3, "3")]


def test_missing_images_are_listed_before_the_model_is_loaded(table, tmp_path, capsys):
    path = table(ASKED, *({**ASKED, "image": f"{n}.png"} for n in range(12)), {**ASKED, "image": "../x.png"})
    line = fails(capsys, "--data", path, "--output", tmp_path / "o")
    assert "table.jsonl, row 14: the path '../x.png' leads out of the table's folder" in line
    path = table(ASKED, *({**ASKED, "image": f"{n}.png"} for n in range(12)))
    line = fails(capsys, "--data", path, "--output", tmp_path / "o")
    assert line.count("no such image") == 3
    assert "9 more" in line


def test_a_table_without_one_readable_panorama_is_an_error(table, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    path = table({**ASKED, "image": "bad.png"}, {**ASKED, "image": "gone.png"})
    line = fails(capsys, "--data", path, "--output", tmp_path / "o", "--max-new-tokens", "2", "--skip-bad")
    assert "none of the 2 panoramas" in line
    assert "bad.png" in line


@pytest.mark.parametrize("kind", ["missing", "broken"])
def test_a_bad_panorama_stops_with_file_and_row_or_is_counted(table, tmp_path, capsys, kind):
    bad = tmp_path / "bad.png"
    if kind == "broken":
        bad.write_bytes(b"not an image")
    path = table(ASKED, {**ASKED, "image": "bad.png"}, {**ASKED, "image": "bad.png", "question": "Which?"})
    line = fails(capsys, "--data", path, "--output", tmp_path / "o", "--max-new-tokens", "2")
    assert "table.jsonl, row 2" in line
    assert "bad.png" in line
    assert "--skip-bad" in line
    arguments = ["--data", path, "--output", tmp_path / "p", "--max-new-tokens", "2", "--skip-bad"]
    assert run(["eval", *map(str, arguments)]) == 0
    assert "2 questions about 1 unreadable panorama were left out" in capsys.readouterr().out
    results = json.loads((tmp_path / "p" / "results.json").read_text())
    assert results["count"] == 1
    assert results["skipped"]["rows"] == 2
    assert "bad.png" in results["skipped"]["images"]["bad.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "NOWHERE.jsonl"], "nowhere.jsonl: no such file or folder"),
        (["--data", "./nowhere"], "--data ./nowhere: no such file or folder"),
        (["--data", "SHAPES", "--output", "TABLE"], "table.jsonl: this is a file, expected a folder"),
        (["--data", "SHAPES", "--split", "train"], "test.jsonl"),
        (["--data", "SHAPES", "--rotate", "sideways"], "--rotate sideways: expected a yaw"),
        (["--data", "SHAPES", "--rotate", "nan"], "--rotate nan: expected a yaw"),
        (["--data", "TABLE", "--rotate", "90"], "--rotate needs a PanoShapes folder"),
        (["--data", "TABLE", "--shuffle-images"], "--shuffle-images needs at least two panoramas"),
        (["--data", "SHAPES", "--batch-size", "0"], "--batch-size"),
        (["--data", "SHAPES", "--model", "no/such/model"], "--model no/such/model"),
        (["--data", "SHAPES", "--device", "teapot"], "--device teapot"),
        (["--data", "STRANGE"], "photo, text"),
    ],
)
def test_usage_errors_are_one_line_and_code_2(shapes, table, tmp_path, capsys, arguments, message):
    strange = tmp_path / "strange.jsonl"
    strange.write_text('{"photo": "a.png", "text": "What?"}\n')
    names = {"SHAPES": shapes, "TABLE": table(ASKED), "STRANGE": strange, "NOWHERE.jsonl": tmp_path / "nowhere.jsonl"}
    output = [] if "--output" in arguments else ["--output", tmp_path / "out"]
    line = fails(capsys, *(names.get(a, a) for a in arguments), *output)
    assert line.startswith("panollava: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_missing_scene_is_reported(shapes, tmp_path, capsys):
    folder = tmp_path / "shapes"
    shutil.copytree(shapes, folder)
    lines = (folder / "scenes-test.jsonl").read_text().splitlines(keepends=True)
    (folder / "scenes-test.jsonl").write_text("".join(lines[:-1]))
    line = fails(capsys, "--data", folder, "--output", tmp_path / "out", "--max-new-tokens", "1")
    assert "scene 'test-000007' is not in" in line
    (folder / "scenes-test.jsonl").write_text("{}\n")
    assert "scenes-test.jsonl, line 1" in fails(capsys, "--data", folder, "--output", tmp_path / "new")


def test_an_interrupt_says_how_many_predictions_there_are(shapes, tmp_path, capsys, monkeypatch):
    append, calls = PredictionFile.append, []

    def interrupted(self, predictions):
        append(self, predictions)
        calls.append(len(predictions))
        if len(calls) == 2:
            raise KeyboardInterrupt

    arguments = ["eval", "--data", str(shapes), "--output", str(tmp_path / "o [/]"), "--max-new-tokens", "2"]
    with monkeypatch.context() as patched:
        patched.setattr(PredictionFile, "append", interrupted)
        assert run([*arguments, "--batch-size", "4"]) == 130
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(
        r"interrupted; \d+ of \d+ predictions are in .*/o \[/\]; run the same command again to go on", line
    )
    assert run(arguments) == 0
    assert f"Wrote {tmp_path}/o [/]/ in" in capsys.readouterr().err


def test_the_output_is_checked_before_the_work(shapes, tmp_path, capsys):
    (tmp_path / "file").touch()
    line = fails(capsys, "--data", shapes, "--output", tmp_path / "file" / "out")
    assert line.startswith("panollava: --output ")


def test_the_shared_placeholder_is_text(shared, panorama_file, tmp_path, capsys):
    case = shared / "cases" / "table_placeholder_in_question.jsonl"
    if not case.is_file():
        pytest.skip("no shared cases")
    shutil.copy(case, tmp_path / "t.jsonl")
    shutil.copy(panorama_file, tmp_path / "a.jpg")
    output = tmp_path / "out"
    assert run(["eval", "--data", str(tmp_path / "t.jsonl"), "--output", str(output), "--max-new-tokens", "4"]) == 0
    (line,) = (output / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line)["question"] == "What does <|vision|> mean?"
    capsys.readouterr()
