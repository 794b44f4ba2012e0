"""Tables as sources; independent truth: what the tests write, and Python's own `csv` and `json`."""

import csv
import json
import os
import pickle
from pathlib import Path

import pytest
from jobs_in_processes import read_in_another_process
from panollava_hf._errors import TableError, UsageError
from panollava_hf.jobs.sources import open_source

CASES = Path(os.environ.get("PANOLLAVA_SHARED", "nowhere")) / "cases"
COUNT = 3000


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_csv(path, rows, delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def many(count=COUNT):
    """Rows with every kind of text that moves a reader's place: line ends in fields, quotes, wide letters."""
    texts = ["Where?", 'a "quoted" word', "two\nlines\r\nor three", "방 ä 🙂", "comma, semicolon; tab\t"]
    return [{"id": f"r{i}", "url": f"im/{i}.jpg", "question": f"{texts[i % 5]} {i}"} for i in range(count)]


def as_rows(folder, rows):
    return [
        {
            "id": row["id"],
            "path": str(folder / row["url"]),
            "image": str(folder / row["url"]),
            "question": row["question"],
        }
        for row in rows
    ]


@pytest.mark.parametrize("kind", ["csv", "csv-16", "tsv", "semicolon", "jsonl", "json", "spread"])
def test_rows_are_read_from_any_place(tmp_path, kind):
    rows = many()
    if kind == "jsonl":
        path = write_jsonl(tmp_path / "t.jsonl", rows)
    elif kind in ("json", "spread"):
        path = tmp_path / "t.json"
        path.write_text(json.dumps(rows) if kind == "json" else "\n".join(json.dumps(row, indent=1) for row in rows))
    else:
        delimiter = {"tsv": "\t", "semicolon": ";"}.get(kind, ",")
        encoding = "utf-16" if kind == "csv-16" else "utf-8-sig"
        path = write_csv(tmp_path / f"t.{'tsv' if kind == 'tsv' else 'csv'}", rows, delimiter, encoding)
    expected = as_rows(tmp_path, rows)
    source = open_source(path)
    assert len(source) == COUNT
    assert source.notes == ()
    for start, stop in ((0, 3), (2990, 4000), (511, 514), (514, 520), (1700, 1701), (0, COUNT)):
        assert source.rows(start, stop) == expected[start:stop]
        assert source.ids(start, stop) == [row["id"] for row in expected[start:stop]]
    copy = pickle.loads(pickle.dumps(source))
    assert copy.rows(1025, 1030) == expected[1025:1030]
    assert copy.fingerprint() == source.fingerprint()
    assert len(pickle.dumps(source)) < 2000


def test_in_another_process(tmp_path):
    source = open_source(write_csv(tmp_path / "t.csv", many()))
    assert read_in_another_process(source, 1500, 1510) == (source.ids(1500, 1510), source.rows(1500, 1510))


def test_columns_under_other_names(tmp_path):
    rows = [{"Panorama File": "a.jpg", "q": "What?", "key": "k1", "query": "other", "n": "007"}]
    path = write_csv(tmp_path / "t.csv", rows)
    source = open_source(path, columns={"question": "q", "id": "key"})
    image = str(tmp_path / "a.jpg")
    assert source.rows(0, 1) == [
        {"id": "k1", "path": image, "image": image, "question": "What?", "query": "other", "n": "007"}
    ]
    write_csv(path, [{"shown": "a.jpg", "text": "x"}])
    assert open_source(path, columns={"image": "shown"}).rows(0, 1)[0]["image"] == image
    for columns, message in (
        ({}, "has the columns shown, text; expected one of image, panorama, url"),
        ({"image": "nothing"}, "expected one of nothing for the image"),
        ({"image": "shown", "question": "nothing"}, "has no column 'nothing' for question"),
        ({"image": "shown", "id": "nothing"}, "has no column 'nothing' for id"),
    ):
        with pytest.raises(TableError, match=message):
            open_source(path, columns=columns)


def test_only_an_image_is_needed(tmp_path):
    source = open_source(write_jsonl(tmp_path / "t.jsonl", [{"file_name": "a.jpg"}, {"file_name": "b.jpg", "more": 1}]))
    assert [set(row) for row in source.rows(0, 2)] == [{"id", "path", "image", "more"}] * 2
    assert [row["more"] for row in source.rows(0, 2)] == [None, "1"]


def test_an_id_that_is_made_follows_the_row(tmp_path):
    rows = [{"image": f"{i}.jpg", "question": "What?"} for i in range(4)]
    first = open_source(write_jsonl(tmp_path / "t.jsonl", rows)).ids(0, 9)
    assert len(set(first)) == 4
    rows[1]["question"] = "Where?"
    rows.append({"image": "0.jpg", "question": "What?"})
    second = open_source(write_jsonl(tmp_path / "t.jsonl", rows)).ids(0, 9)
    assert [a == b for a, b in zip(first, second, strict=False)] == [True, False, True, True]
    assert len(set(second)) == 5


def test_ids_that_are_there_twice(tmp_path):
    rows = [{"id": name, "image": "a.jpg"} for name in ("x", "y", "x", "y", "x")]
    with pytest.raises(TableError, match=r"the id 'x' is there twice, in line 2 and line 4; make the ids unique"):
        open_source(write_csv(tmp_path / "t.csv", rows))
    assert len(open_source(tmp_path / "t.csv", limit=2)) == 2
    blank = [{"id": "", "image": "a.jpg"}, {"id": "", "image": "a.jpg"}]
    assert len(set(open_source(write_csv(tmp_path / "t.csv", blank)).ids(0, 2))) == 2


def test_rows_that_cannot_be_used_are_rows_with_an_error(tmp_path):
    path = tmp_path / "t.jsonl"
    lines = ['{"id": 1, "image": "a.jpg"}', "{broken", '{"id": 3, "image": ""}', '{"id": 4, "image": ["b"]}']
    lines += ["[1]", '{"id": 6, "image": "../../etc/passwd"}', '{"id": 7, "image": "a\\u0000.jpg"}', '{"id": 8}']
    path.write_text("\n".join([*lines, '{"id": 9, "image": "missing.jpg"}']))
    rows = open_source(path).rows(0, 99)
    assert len(rows) == 9
    assert {row["id"] for row in rows} >= {"1", "3", "4", "6", "7", "8", "9"}
    assert [bool(row.get("error")) for row in rows] == [False, *[True] * 7, False]
    for line, row in enumerate(rows, 1):
        assert row["image"] is None or "error" not in row
        assert "error" not in row or row["error"].startswith(f"line {line}: ")
    assert open_source(path).notes[0].startswith("2 rows cannot be read, and will be errors: line 2: not JSON")


def test_broken_rows_of_a_csv_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('image,question\na.jpg,What?\nb.jpg,One, two?\nimage,question\nc.jpg,"open\nd.jpg,Where?\n')
    source = open_source(path)
    rows = source.rows(0, 99)
    assert [row["question"] for row in rows if "error" not in row] == ["What?", "Where?"]
    assert "unquoted comma" in rows[1]["error"]
    assert "the header is repeated" in rows[2]["error"]
    assert "quote" in rows[3]["error"]
    assert "data check" in source.notes[0]
    assert source.rows(3, 5) == rows[3:5]


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("image,question\n", "has no rows"), ("image\na,b\n", "none of its 1 rows can be read")],
)
def test_tables_without_rows(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(TableError, match=message):
        open_source(tmp_path / "t.csv")


def test_a_table_that_changes_during_the_job(tmp_path):
    source = open_source(write_csv(tmp_path / "t.csv", many(5)))
    write_csv(tmp_path / "t.csv", many(6))
    with pytest.raises(TableError, match="was changed while the job ran"):
        source.rows(0, 1)


@pytest.mark.parametrize("name", ["train.csv", "metadata.csv", "train/metadata.jsonl"])
def test_the_table_of_a_folder(tmp_path, name):
    (tmp_path / "a.jpg").write_bytes(b"x")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    rows = [{"file_name": "b.jpg", "text": "t"}]
    (write_csv if name.endswith("csv") else write_jsonl)(path, rows)
    image = str(path.parent / "b.jpg")
    row = open_source(tmp_path).rows(0, 1)[0]
    assert (row["image"], row["text"]) == (image, "t")
    if name == "metadata.csv":
        assert open_source(tmp_path, split="test").rows(0, 1)[0]["image"] == image
    else:
        with pytest.raises(UsageError, match=r"^split 'test': .* is a folder of images, which has no splits; leave it"):
            open_source(tmp_path, split="test")


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("a.jpg", {"columns": {"image": "photo"}}, "column image=photo: .*a.jpg is an image, which has no columns"),
        ("", {"columns": {"image": "photo"}}, "column image=photo: .* is a folder of images, which has no columns"),
        ("list.txt", {"columns": {"id": "key"}}, "column id=key: .*list.txt is a list of paths, which has no columns"),
        ("list.txt", {"split": "test"}, "split 'test': .*list.txt is a single file, which has no splits"),
    ],
)
def test_options_that_a_source_cannot_have_are_not_ignored(tmp_path, name, options, problem):
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "list.txt").write_text("a.jpg\n")
    with pytest.raises(UsageError, match=problem):
        open_source(tmp_path / name, **options)


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the shared cases")
def test_odd_tables_of_bug_reports():
    def texts(name, column):
        return [row.get(column) for row in open_source(CASES / name).rows(0, 99)]

    assert texts("table_words_for_nothing.csv", "answer") == ["None", "N/A", "A room."]
    assert texts("table_numbers.csv", "answer") == ["3", "12"]
    assert texts("table_numbers.jsonl", "answer") == ["3", "yes"]
    assert texts("table_placeholder_in_question.jsonl", "question") == ["What does <|vision|> mean?"]
    assert texts("table_header_repeated.csv", "error") == [
        None,
        "line 3: the header is repeated: two tables were put together",
        None,
    ]
    assert len(texts("table_blank_answer.jsonl", "image")) == 10
    for name, message in (("header_only", "has no rows"), ("unquoted_commas_other_header", "none of its 2 rows")):
        with pytest.raises(TableError, match=message):
            open_source(CASES / f"table_{name}.csv")
    for folder, name in (("folder_from_a_mac", "pano.jpg"), ("folder_of_jfif", "pano.jfif")):
        assert open_source(CASES / folder).ids(0, 9) == [name]
