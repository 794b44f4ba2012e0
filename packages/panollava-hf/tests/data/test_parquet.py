"""Parquet files: numbers and categories become texts, damage is one line."""

import io

import pytest
from panollava_hf._errors import TableError
from panollava_hf.data import read_examples

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def table(tmp_path):
    def write(answers, kind=None, questions=None, **columns):
        columns = {
            "image": [f"{i}.jpg" for i in range(len(answers))],
            "question": questions or ["Q?"] * len(answers),
            "answer": pa.array(answers, kind),
            **columns,
        }
        pq.write_table(pa.table(columns), tmp_path / "t.parquet")
        return tmp_path / "t.parquet"

    return write


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        ([1, 12], pa.int8(), ["1", "12"]),
        ([2.5, 3.0], pa.float64(), ["2.5", "3.0"]),
        ([True, False], pa.bool_(), ["true", "false"]),
        (["None", "007"], pa.string(), ["None", "007"]),
        (["a", "b"], pa.large_string(), ["a", "b"]),
        (["a", "b", "a"], pa.dictionary(pa.int8(), pa.string()), ["a", "b", "a"]),
        ([1, 2], pa.decimal128(5, 2), ["1.00", "2.00"]),
        ([0, 86400], pa.timestamp("s"), ["1970-01-01 00:00:00", "1970-01-02 00:00:00"]),
    ],
    ids=str,
)
def test_values_become_texts(table, values, kind, texts):
    assert [example.answer for example in read_examples(table(values, kind))] == texts


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (["x", None], pa.string(), "row 2: the answer is blank"),
        (["x", " "], pa.string(), "row 2: the answer is blank"),
        ([1.0, float("nan")], pa.float64(), "row 2: the answer is blank"),
        ([b"x", b"y"], pa.binary(), "2 rows cannot be used: row 1: the answer is not a text"),
        ([["x"], ["y"]], pa.list_(pa.string()), "row 2: the answer is not a text"),
        ([{"a": 1}, None], None, "row 2: the answer is blank"),
    ],
)
def test_unusable_rows_are_named(table, values, kind, message):
    with pytest.raises(TableError, match=message):
        read_examples(table(values, kind))


def test_embedded_images_that_are_missing(table):
    images = pa.array(
        [{"bytes": b"x", "path": None}, None, {"bytes": None, "path": "b.jpg"}, {"bytes": None, "path": None}]
    )
    path = table(["a"] * 4, image=images)
    with pytest.raises(TableError, match="2 rows cannot be used: row 2: the image is blank; row 4: the image is blank"):
        read_examples(path)
    kept = read_examples(path, skip_bad=True)
    assert kept[0].image == b"x"
    assert kept[1].image.name == "b.jpg"
    assert kept.groups() == [[0], [1]]
    raw = table(["a"] * 2, image=pa.array([b"x", None]))
    assert [example.image for example in read_examples(raw, skip_bad=True)] == [b"x"]


def test_numbers_of_a_column(table):
    path = table(["a", "b"], size=pa.array([3, 1]), share=pa.array([0.1, 2.0]), gap=pa.array([1.0, None]))
    examples = read_examples(path)
    assert examples.numbers("size").tolist() == [3, 1]
    assert examples.numbers("share").tolist() == [0.1, 2.0]
    with pytest.raises(TableError, match="must hold numbers"):
        examples.numbers("gap")


def whole():
    stream = io.BytesIO()
    pq.write_table(pa.table({"image": ["a.jpg"] * 99, "question": ["Q?"] * 99, "answer": ["A"] * 99}), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", whole()[:-1], whole()[: len(whole()) // 2], b"image,question,answer\n", whole()[4:], bytes(999)],
    ids=range(7),
)
def test_damage_is_one_line(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(TableError, match=r"t\.parquet cannot be read as parquet \(") as error:
        read_examples(tmp_path / "t.parquet")
    assert "\n" not in str(error.value)


def test_a_table_without_rows(table):
    with pytest.raises(TableError, match="has no rows"):
        read_examples(table([], pa.string()))


def test_a_dataset_without_network_is_asked_for_once(monkeypatch):
    datasets, hub = pytest.importorskip("datasets"), pytest.importorskip("huggingface_hub")
    asked = []

    def dataset_info(self, name, **options):
        asked.append((name, options["timeout"]))
        raise OSError("Name or service not known")

    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: pytest.fail("asked again"))
    with pytest.raises(TableError, match=r"owner/name: no such file, folder or dataset \(Name or service not known\)"):
        read_examples("owner/name")
    assert asked == [("owner/name", 8.0)]
