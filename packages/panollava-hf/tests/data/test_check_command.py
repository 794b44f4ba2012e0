"""`panollava data check` takes every table that training takes, and names all that training would refuse."""

import json

import pytest
from panollava_hf.cli import run


@pytest.fixture
def check(capsys):
    def call(path, *options):
        code = run(["data", "check", str(path), *map(str, options)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.mark.parametrize(
    ("name", "code", "lines"),
    [
        ("table_unquoted_commas_other_header.csv", 1, [2, 3]),
        ("table_words_for_nothing.csv", 0, []),
        ("table_numbers.csv", 0, []),
        ("table_numbers.jsonl", 0, []),
        ("table_url_with_commas.csv", 1, [2]),
        ("table_blank_answer.jsonl", 1, [8]),
        ("table_header_repeated.csv", 1, [3]),
        ("table_placeholder_in_question.jsonl", 0, []),
    ],
)
def test_the_cases(check, shared, name, code, lines):
    path = shared / "cases" / name
    found = check(path)
    assert found[0] == code
    assert [line.split(":")[1] for line in found[1].splitlines() if line.startswith(str(path))] == list(map(str, lines))
    assert "cannot be used: line " in found[2] or name == "table_url_with_commas.csv"


def test_a_header_alone_has_no_rows(check, shared):
    code, out, err = check(shared / "cases" / "table_header_only.csv")
    assert (code, out) == (1, "")
    assert "no rows" in err


@pytest.mark.parametrize(
    "header", ["url,question,answer", "answer,image,question", "Image;Question;Answer", "path,prompt,caption"]
)
def test_headers_that_training_takes(check, tmp_path, header):
    path = tmp_path / "t.csv"
    path.write_text(header + "\n" + (";" if ";" in header else ",").join("xyz") + "\n")
    assert check(path)[0] == 0
    path.write_text(header + "\n" + (";" if ";" in header else ",").join(["x", " ", "z"]) + "\n")
    code, out, _ = check(path)
    assert code == 1
    assert f"{path}:2: the " in out
    assert "is blank" in out


def test_named_columns(check, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("bild,frage,antwort\nx,y,z\n")
    assert check(path)[0] == 2
    assert check(path, *(f"--column={one}" for one in ("image=bild", "question=frage", "answer=antwort")))[0] == 0
    code, _, err = check(path, "--column", "bild")
    assert code == 2
    assert "expected ROLE=NAME" in err


def test_a_repaired_file_has_one_header_and_keeps_blank_rows(check, tmp_path):
    path, fixed = tmp_path / "t.csv", tmp_path / "fixed.csv"
    path.write_text("image,question,answer\na.jpg,Q?,A\nimage,question,answer\nb.jpg,Q?,\nc.jpg,Q?,red, blue\n")
    code, out, err = check(path, "--fix", fixed)
    assert code == 1, "the blank answer is not invented"
    assert f"{path}:3: the header is repeated" in out
    assert f"{path}:4: the answer is blank" in out
    assert "3 rows, 1 of them repaired" in err
    assert fixed.read_text() == 'image,question,answer\na.jpg,Q?,A\nb.jpg,Q?,\nc.jpg,Q?,"red, blue"\n'


def test_missing_images_and_copies_are_listed_but_allowed(check, tmp_path):
    (tmp_path / "a.jpg").touch()
    path = tmp_path / "t.csv"
    path.write_text("image,question,answer\na.jpg,Q?,A\na.jpg,Q?,A\nb.jpg,Q?,A\n../c.jpg,Q?,A\n")
    code, _, err = check(path)
    assert code == 0
    assert "2 images cannot be used: line 4: no such image" in err
    assert "line 5: the path '../c.jpg' leads out" in err
    assert "1 rows are exact copies" in err


def test_json_and_parquet(check, tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"image": "a.jpg", "question": "Q?", "answer": answer} for answer in ("A", "", "B")]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "t.parquet")
    code, out, err = check(tmp_path / "t.jsonl")
    assert code == 1
    assert f"{tmp_path / 't.jsonl'}:2: the answer is blank" in out
    assert f"{tmp_path / 't.jsonl'}:4: not JSON" in out
    assert "2 rows, 2 broken rows" in err
    code, out, _ = check(tmp_path / "t.parquet")
    assert (code, out) == (1, f"{tmp_path / 't.parquet'}, row 2: the answer is blank\n")
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
    assert code == 1
    assert f"{path}:3: " in out
    assert len(err) < 2000
