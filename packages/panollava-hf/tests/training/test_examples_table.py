import json

import pytest
from panollava_hf._errors import TableError
from panollava_hf.data._examples import read_examples
from PIL import Image

# datasets before 5.2 leaves CSV files for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")


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


def test_pictures_inside_a_table(tmp_path, rows):
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    features = Features({"image": ImageFeature(), "question": Value("string"), "answer": Value("string")})
    pictures = [{"bytes": (tmp_path / row[0]).read_bytes(), "path": None} for row in rows]
    table = {"image": pictures, "question": ["q"] * 3, "answer": ["a"] * 3}
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
    with pytest.raises(TableError, match="columns may be named for image, question, answer; got picture"):
        read_examples(tmp_path / "t.csv", columns={"picture": "pano"})


def test_a_path_may_not_leave_the_folder(tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    as_csv(folder / "t.csv", [("../secret.png", "q", "a")], "image,question,answer")
    with pytest.raises(TableError, match="leads out of the table's folder"):
        read_examples(folder / "t.csv")[0]


@pytest.mark.parametrize("row", [("a.png", "", "x"), ("a.png", "x", "  ")])
def test_empty_texts_are_refused(tmp_path, row):
    (tmp_path / "t.jsonl").write_text(json.dumps(dict(zip(("image", "question", "answer"), row, strict=True))) + "\n")
    with pytest.raises(TableError, match=r"t\.jsonl, row 1: question and answer must be texts"):
        read_examples(tmp_path / "t.jsonl")[0]


def test_unquoted_commas_are_not_misread(tmp_path):
    (tmp_path / "t.csv").write_text("url,query,annotation\na.jpg,What is here?,A room, a door and more\n")
    with pytest.raises(TableError, match="would be misread, the first in line 2"):
        read_examples(tmp_path / "t.csv")


def test_what_is_not_there(tmp_path):
    with pytest.raises(TableError, match="no such file or folder"):
        read_examples(tmp_path / "missing.csv")
    with pytest.raises(TableError, match=r"holds no train\.csv"):
        read_examples(tmp_path)
    (tmp_path / "test.jsonl").write_text("{}\n")
    with pytest.raises(TableError, match=r"its tables are test\.jsonl: name another split"):
        read_examples(tmp_path)
    (tmp_path / "t.txt").write_text("x")
    with pytest.raises(TableError, match=r"expected \.csv"):
        read_examples(tmp_path / "t.txt")
    (tmp_path / "broken.jsonl").write_text("{not json\n")
    with pytest.raises(TableError, match="cannot be read as json"):
        read_examples(tmp_path / "broken.jsonl")
