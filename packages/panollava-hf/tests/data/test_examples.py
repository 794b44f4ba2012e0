import json

import pytest
from panollava_hf._errors import TableError
from panollava_hf.data._examples import find_table, read_examples
from PIL import Image


@pytest.fixture
def rows(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 32)).save(tmp_path / name)
    return [("a.png", "What?", "A."), ("b.png", "Where?", "There, behind."), ("a.png", "How many?", "2")]


def as_csv(path, rows, header):
    quoted = [",".join('"' + text.replace('"', '""') + '"' for text in row) for row in rows]
    path.write_text("\n".join([header, *quoted]) + "\n")


@pytest.mark.parametrize(
    "header", ["url,query,annotation", "url,instruction,response", "image,question,answer", "file_name,prompt,output"]
)
def test_columns_are_found_in_csv(tmp_path, rows, header):
    as_csv(tmp_path / "t.csv", rows, header)
    examples = read_examples(tmp_path / "t.csv")
    assert [(e.question, e.answer) for e in examples[:]] == [row[1:] for row in rows]
    assert examples[1].image == tmp_path / "b.png"
    assert examples.groups() == [[0, 2], [1]]
    assert examples[1].where.endswith("t.csv, row 2")


def test_jsonl_parquet_and_folders_are_alike(tmp_path, rows):
    from datasets import Dataset

    dicts = [dict(zip(("image", "question", "answer"), row, strict=True)) for row in rows]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dicts))
    Dataset.from_list(dicts).to_parquet(tmp_path / "test.parquet")
    first, second = read_examples(tmp_path), read_examples(tmp_path, "test")
    assert [e.answer for e in first[:]] == [e.answer for e in second[:]] == [row[2] for row in rows]


def test_images_inside_a_table(tmp_path, rows):
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    features = Features({"image": ImageFeature(), "question": Value("string"), "answer": Value("string")})
    images = [{"bytes": (tmp_path / row[0]).read_bytes(), "path": None} for row in rows]
    table = {"image": images, "question": ["q"] * 3, "answer": ["a"] * 3}
    Dataset.from_dict(table, features=features).to_parquet(tmp_path / "t.parquet")
    examples = read_examples(tmp_path / "t.parquet")
    assert isinstance(examples[0].image, bytes)
    assert examples.groups() == [[0], [1], [2]]


def test_named_columns(tmp_path, rows):
    as_csv(tmp_path / "t.csv", rows, "pano,frage,antwort")
    columns = {"image": "pano", "question": "frage", "answer": "antwort"}
    assert read_examples(tmp_path / "t.csv", columns=columns)[0].answer == "A."
    with pytest.raises(TableError, match="has the columns pano, frage, antwort; expected one of image"):
        read_examples(tmp_path / "t.csv")
    with pytest.raises(TableError, match="unknown role photo in columns; the roles are image, question, answer"):
        read_examples(tmp_path / "t.csv", columns={"photo": "pano"})


def test_a_path_may_not_leave_the_folder(tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    as_csv(folder / "t.csv", [("../secret.png", "q", "a")], "image,question,answer")
    with pytest.raises(TableError, match="leads out of the table's folder"):
        read_examples(folder / "t.csv")[0]


@pytest.mark.parametrize("row", [("a.png", "", "x"), ("a.png", "x", "  ")])
def test_empty_texts_are_refused(tmp_path, row):
    (tmp_path / "t.jsonl").write_text(json.dumps(dict(zip(("image", "question", "answer"), row, strict=True))) + "\n")
    with pytest.raises(TableError, match=r"t\.jsonl: 1 rows cannot be used: line 1: the (question|answer) is blank"):
        read_examples(tmp_path / "t.jsonl")


def test_unquoted_commas_are_not_misread(tmp_path):
    (tmp_path / "t.csv").write_text("url,query,annotation\na.jpg,What is here?,A room, a door and more\n")
    with pytest.raises(
        TableError, match=r"1 rows would be misread, the first in line 2; run `panollava data check .*t\.csv --fix"
    ):
        read_examples(tmp_path / "t.csv")


def test_what_is_not_there(tmp_path):
    with pytest.raises(TableError, match="no such file or folder"):
        read_examples(tmp_path / "missing.csv")
    with pytest.raises(TableError, match=r"contains no train\.csv"):
        read_examples(tmp_path)
    (tmp_path / "test.jsonl").write_text("{}\n")
    with pytest.raises(TableError, match=r"its tables are test\.jsonl: choose another split"):
        read_examples(tmp_path)
    (tmp_path / "t.txt").write_text("x")
    with pytest.raises(TableError, match=r"expected \.csv"):
        read_examples(tmp_path / "t.txt")
    (tmp_path / "broken.jsonl").write_text("{not json\n")
    with pytest.raises(TableError, match="cannot be read as json"):
        read_examples(tmp_path / "broken.jsonl")


@pytest.fixture
def numbered(tmp_path):
    lines = [
        {"image": "a.png", "question": "q", "answer": "a", "size": n, "kind": kind} for n, kind in ((3, "x"), (1, "y"))
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_examples(tmp_path / "t.jsonl")


def test_a_column_of_numbers(numbered):
    assert numbered.numbers("size").tolist() == [3, 1]
    with pytest.raises(TableError, match="has no column 'sise'; its columns are image, question, answer, size, kind"):
        numbered.numbers("sise")
    with pytest.raises(TableError, match="the column 'kind' must hold numbers"):
        numbered.numbers("kind")


def test_weights_by_the_values_of_a_column(numbered):
    assert numbered.weights("kind", {"y": 2.5}).tolist() == [1, 2.5]
    with pytest.raises(TableError, match="no row has 'z' in the column 'kind'; its values are x, y"):
        numbered.weights("kind", {"z": 2})
    with pytest.raises(TableError, match="has no column 'sort'"):
        numbered.weights("sort", {"x": 2})


def test_a_table_is_found_without_reading_it(tmp_path, rows):
    as_csv(tmp_path / "train.csv", rows, "image,question,answer")
    assert find_table(tmp_path) == tmp_path / "train.csv"
    assert find_table(tmp_path / "train.csv") == tmp_path / "train.csv"
    assert find_table("owner/name") is None, "a dataset on the Hub"
