"""Broken tables: faults found at their lines, repaired only where that can be decided, no row lost."""

import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panollava_hf._errors import TableError
from panollava_hf.cli import run
from panollava_hf.data import check_csv, read_examples
from panollava_hf.data._tables import write_csv
from PIL import Image

QUERY = "url,query,annotation"
INSTRUCTION = "url,instruction,response"


def table(tmp_path, *rows, header=QUERY, name="table.csv"):
    path = tmp_path / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


VALID = (
    'pano/1.jpg,what is ahead?,"A hall, with windows"',
    "https://x.org/2.jpg,What?,Nothing",
    '3.png,"Is it ""big""?","Yes,\nvery"',
    "4.webp,What? ,1",
)


@pytest.mark.parametrize("header", [QUERY, INSTRUCTION, "URL, Query ,Annotation", '"url","query","annotation"'])
def test_a_valid_table_has_no_faults(tmp_path, header):
    found = check_csv(table(tmp_path, *VALID, "", header=header))
    assert found.faults == []
    assert found.rows[2] == ("3.png", 'Is it "big"?', "Yes,\nvery")
    assert len(found.rows) == 4


#: A broken row, a part of the reason, and the fields that were meant (None: cannot be decided).
BROKEN = {
    "comma in the answer": (
        "1.jpg,architecture,A hall, with high windows, and a door",
        "unquoted comma: 5 fields",
        ("1.jpg", "architecture", "A hall, with high windows, and a door"),
    ),
    "comma in the question": (
        "1.jpg,What is this, really?,A hall",
        "unquoted comma: 4 fields",
        ("1.jpg", "What is this, really?", "A hall"),
    ),
    "commas in both": (
        "1.jpg,If I turn left, what is there?,A door, a window",
        "unquoted comma: 5",
        ("1.jpg", "If I turn left, what is there?", "A door, a window"),
    ),
    "number": ("1.jpg,how many,1,000 people", "unquoted comma: 4", ("1.jpg", "how many", "1,000 people")),
    "quoted question": (
        '1.jpg,"What, now?",It is red,or blue',
        "unquoted comma: 4",
        ("1.jpg", "What, now?", "It is red,or blue"),
    ),
    "quoted answer": (
        '1.jpg,red,or blue,"It is, yes"',
        "unquoted comma: 4",
        ("1.jpg", "red,or blue", "It is, yes"),
    ),
    "known question": (
        "1.jpg,where am I,in a hall,by a lake",
        "unquoted comma: 4",
        ("1.jpg", "where am I", "in a hall,by a lake"),
    ),
    "question mark": ("1.jpg,red,or blue?,red,clearly", "unquoted comma: 5", ("1.jpg", "red,or blue?", "red,clearly")),
    "quotes not doubled": (
        '1.jpg,sign,"It says "exit" in red"',
        "broken quotes",
        ("1.jpg", "sign", 'It says "exit" in red'),
    ),
    "quotes in a bare text": ('1.jpg,sign,It says "exit"!', "broken quotes", ("1.jpg", "sign", 'It says "exit"!')),
    "never closed": ('1.jpg,sign,"A red sign, on a wall', "never closed", ("1.jpg", "sign", "A red sign, on a wall")),
    "never opened": ('1.jpg,sign,A red sign"', "never opened", ("1.jpg", "sign", "A red sign")),
    "text after a quote": ('1.jpg,sign,"A" red sign', "broken quotes", ("1.jpg", "sign", '"A" red sign')),
    "comma in the path": ("a,b.jpg,sign,red", "unquoted comma: 4", ("a,b.jpg", "sign", "red")),
    "two ways": ("1.jpg,red,green,blue", "unquoted comma: 4", None),
    "a column too few": ("1.jpg,A hall", "2 fields where 3", None),
    "no image": ("What is this,really,now,then", "unquoted comma: 4", None),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("header", [QUERY, INSTRUCTION])
def test_broken_rows(tmp_path, name, header):
    row, reason, meant = BROKEN[name]
    known = "9.jpg,where am I,at home"
    found = check_csv(table(tmp_path, "0.jpg,what,a tree", row, known, header=header))
    (fault,) = found.faults
    assert fault.line == 3
    assert reason in fault.reason
    assert fault.text == row
    assert fault.fields == meant
    assert found.rows == [("0.jpg", "what", "a tree"), *([meant] if meant else []), ("9.jpg", "where am I", "at home")]


def test_open_quote_swallows_no_other_row(tmp_path):
    """A reader that trusts the quote would read the rows up to the next quote as its text."""
    rows = ['1.jpg,sign,"A red sign', "2.jpg,sign,blue", '3.jpg,sign,"green, mostly"', '4.jpg,sign,end"']
    found = check_csv(table(tmp_path, *rows))
    assert [fault.line for fault in found.faults] == [2, 5]
    assert [row[2] for row in found.rows] == ["A red sign", "blue", "green, mostly", "end"]


def test_tables_whose_first_column_is_not_an_image(tmp_path):
    rows = ["id7,sign,red", 'id8,sign,"never closed', "id9,sign,blue", "id10,sign,A hall, with a door"]
    found = check_csv(table(tmp_path, *rows))
    assert [fault.line for fault in found.faults] == [3, 5]
    assert [row[2] for row in found.rows] == ["red", "never closed", "blue", "A hall, with a door"]


def test_line_numbers_count_lines_of_the_file(tmp_path):
    found = check_csv(table(tmp_path, '1.jpg,a,"two\nlines"', "", "2.jpg,a,x, y"))
    assert [fault.line for fault in found.faults] == [5]


def test_windows_line_ends_and_mark(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbfurl,query,annotation\r\n1.jpg,a,b\r\n2.jpg,a,x, y\r\n")
    found = check_csv(path)
    assert found.rows == [("1.jpg", "a", "b"), ("2.jpg", "a", "x, y")]


text = st.text(st.characters(codec="utf-8", exclude_characters="\r", exclude_categories=["Cc", "Cs"]), max_size=30)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.sampled_from(["a.jpg", "https://x.org/p,1.png"]), text, text), max_size=6))
def test_what_csv_writes_is_valid(tmp_path, rows):
    path = tmp_path / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([QUERY.split(","), *rows])
    found = check_csv(path)
    assert found.faults == []
    assert found.rows == rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.text('abc," ?\n', max_size=12).map("x.jpg,{}".format), max_size=5))
def test_no_row_is_lost(tmp_path, lines):
    """Every line that begins a row becomes a row or a fault, and a repaired file is valid."""
    path = table(tmp_path, *lines)
    found = check_csv(path)
    assert len(found.rows) + len(found.undecided) >= len(lines)
    write_csv(found, tmp_path / "fixed.csv")
    again = check_csv(tmp_path / "fixed.csv")
    assert again.faults == []
    assert again.rows == found.rows


def test_command(tmp_path, capsys):
    for name in ("0.jpg", "1.jpg"):
        Image.new("RGB", (32, 16)).save(tmp_path / name)
    path = table(tmp_path, "0.jpg,what,a tree", BROKEN["comma in the answer"][0], BROKEN["two ways"][0])
    assert run(["data", "check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert f"{path}:3: error: unquoted comma: 5 fields where 3 are expected" in out
    assert f"{path}:4: error: unquoted comma: 4 fields where 3 are expected [cannot be decided]" in out
    fixed = tmp_path / "fixed.csv"
    assert run(["data", "check", str(path), "--fix", str(fixed)]) == 2
    out, err = capsys.readouterr()
    assert "2 rows, 1 of them repaired" in err
    assert "lines 4" in err
    assert "1.jpg,red,green,blue" in out
    with fixed.open(newline="") as file:
        assert list(csv.reader(file))[1:] == [["0.jpg", "what", "a tree"], list(BROKEN["comma in the answer"][2])]
    assert run(["data", "check", str(fixed)]) == 0
    assert "no errors" in capsys.readouterr().err


ERRORS = {
    "missing": (None, "no such file or folder"),
    "columns": (b"image,text\n1,2\n", r"expected the columns url,query,annotation or url,instruction,response"),
    "encoding": (b"url,query,annotation\n1.jpg,caf\xe9,b\n", "line 2: byte 0xe9 is not UTF-8"),
    "empty": (b"", "expected the columns"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_line(tmp_path, capsys, name):
    content, message = ERRORS[name]
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    assert run(["data", "check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_the_file_itself_is_not_overwritten(tmp_path):
    path = table(tmp_path, "1.jpg,a,b, c")
    with pytest.raises(TableError, match="choose another output name"):
        write_csv(check_csv(path), path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("layout", [QUERY, INSTRUCTION])
def test_both_layouts_are_read_from_every_kind_of_file(tmp_path, kind, layout, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    columns = layout.split(",")
    rows = [dict(zip(columns, values, strict=True)) for values in (("1.jpg", "a, b", 'say "x"'), ("2.jpg", "c", "d"))]
    path = tmp_path / f"table.{kind}"
    whole = datasets.Dataset.from_list(rows)
    {"csv": whole.to_csv, "jsonl": whole.to_json, "parquet": whole.to_parquet}[kind](str(path))
    found = read_examples(path)[:]
    assert [(e.image, e.question, e.answer) for e in found] == [
        (tmp_path / "1.jpg", "a, b", 'say "x"'),
        (tmp_path / "2.jpg", "c", "d"),
    ]
