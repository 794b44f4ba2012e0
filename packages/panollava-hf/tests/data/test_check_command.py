"""`panollava data check` takes every table that training takes, and names all that training would refuse."""

import json

import pytest
from panollava_hf.cli import run
from PIL import Image


@pytest.fixture
def check(capsys):
    def call(path, *options):
        code = run(["data", "check", str(path), *map(str, options)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture
def panorama(tmp_path):
    def write(name):
        Image.new("RGB", (256, 128)).save(tmp_path / name)
        return name

    return write


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("table_unquoted_commas_other_header.csv", [2, 3]),
        ("table_words_for_nothing.csv", []),
        ("table_numbers.csv", []),
        ("table_numbers.jsonl", []),
        ("table_url_with_commas.csv", [2]),
        ("table_blank_answer.jsonl", [8]),
        ("table_header_repeated.csv", [3]),
        ("table_placeholder_in_question.jsonl", []),
    ],
)
def test_the_cases(check, shared, name, lines):
    path = shared / "cases" / name
    _, out, _ = check(path)
    errors = [line for line in out.splitlines() if ": error: " in line and "no such image" not in line]
    assert [line.removeprefix(str(path)).split(":")[1] for line in errors] == list(map(str, lines))


def test_a_header_alone_has_no_rows(check, shared):
    code, out, err = check(shared / "cases" / "table_header_only.csv")
    assert (code, out) == (2, "")
    assert "has no rows" in err


@pytest.mark.parametrize(
    "header", ["url,question,answer", "answer,image,question", "Image;Question;Answer", "path,prompt,caption"]
)
def test_headers_that_training_takes(check, tmp_path, panorama, header):
    path = tmp_path / "t.csv"
    separator = ";" if ";" in header else ","
    roles = {"answer": "z", "caption": "z", "question": "y", "prompt": "y"}
    cells = [roles.get(name.lower(), panorama("x.png")) for name in header.split(separator)]
    path.write_text(header + "\n" + separator.join(cells) + "\n")
    assert check(path)[0] == 0
    blank = [" " if cell == "y" else cell for cell in cells]
    path.write_text(header + "\n" + separator.join(cells) + "\n" + separator.join(blank) + "\n")
    code, out, _ = check(path)
    assert code == 2
    assert f"{path}:3: error: the question is blank" in out


def test_named_columns(check, tmp_path, panorama):
    path = tmp_path / "t.csv"
    path.write_text(f"bild,frage,antwort\n{panorama('x.png')},y,z\n")
    assert check(path)[0] == 2
    assert check(path, *(f"--column={one}" for one in ("image=bild", "question=frage", "answer=antwort")))[0] == 0
    code, _, err = check(path, "--column", "bild")
    assert code == 2
    assert "expected ROLE=NAME" in err


def test_a_repaired_file_has_one_header_and_keeps_blank_rows(check, tmp_path, panorama):
    path, fixed = tmp_path / "t.csv", tmp_path / "fixed.csv"
    for name in ("a.png", "b.png", "c.png"):
        panorama(name)
    path.write_text("image,question,answer\na.png,Q?,A\nimage,question,answer\nb.png,Q?,\nc.png,Q?,red, blue\n")
    code, out, err = check(path, "--fix", fixed)
    assert code == 2, "the blank answer is not invented"
    assert f"{path}:3: note: the header is repeated" in out
    assert f"{path}:4: error: the answer is blank" in out
    assert f"{path}:5: note: unquoted comma: 4 fields where 3 are expected [repaired]" in out
    assert "3 rows, 1 of them repaired" in err
    assert fixed.read_text() == 'image,question,answer\na.png,Q?,A\nb.png,Q?,\nc.png,Q?,"red, blue"\n'
    path.write_text(path.read_text().replace("b.png,Q?,", "b.png,Q?,B"))
    assert check(path)[0] == 2
    assert check(path, "--fix", fixed)[0] == 0
    assert check(fixed)[0] == 0


def test_missing_images_are_errors_and_copies_are_notes(check, tmp_path, panorama):
    panorama("a.png")
    path = tmp_path / "t.csv"
    path.write_text("image,question,answer\na.png,Q?,A\na.png,Q?,A\nb.png,Q?,A\n../c.png,Q?,A\n")
    code, out, _ = check(path)
    assert code == 2
    assert f"{path}:4: error: no such image" in out
    assert f"{path}:5: error: the path '../c.png' leads out" in out
    assert f"{path}:3: note: the same row as line 2" in out


def test_json_and_parquet(check, tmp_path, panorama):
    datasets = pytest.importorskip("datasets")
    rows = [{"image": panorama("a.png"), "question": "Q?", "answer": answer} for answer in ("A", "", "A")]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "t.parquet")
    code, out, err = check(tmp_path / "t.jsonl")
    assert code == 2
    assert f"{tmp_path / 't.jsonl'}:2: error: the answer is blank" in out
    assert f"{tmp_path / 't.jsonl'}:4: error: not JSON" in out
    assert "2 errors, 1 note" in err
    code, out, _ = check(tmp_path / "t.parquet")
    assert code == 2
    assert f"{tmp_path / 't.parquet'}, row 2: error: the answer is blank\n" in out
    assert f"{tmp_path / 't.parquet'}, row 3: note: the same row as row 1\n" in out
    code, _, err = check(tmp_path / "t.jsonl", "--fix", tmp_path / "out.csv")
    assert code == 2
    assert "only CSV files can be repaired" in err


@pytest.mark.parametrize(
    "rest",
    [
        "a.jpg" + "," * 1_000_000,
        '"' + "\na" * 500_000,
        "a.jpg,x," + '"' * 999_999,
        "a.jpg" + ',"' * 300_000,
        ",.jpg" * 200_000,
    ],
    ids=range(5),
)
@pytest.mark.parametrize("header", ["url,query,annotation", "image,question,answer"])
def test_large_broken_rows_end(check, tmp_path, header, rest):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\na.jpg,Q?,A\n{rest}\n")
    code, out, err = check(path)
    assert code == 2
    assert f"{path}:3: error: " in out
    assert len(err) < 2000
