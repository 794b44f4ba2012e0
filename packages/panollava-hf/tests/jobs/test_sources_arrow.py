"""Parquet files and datasets of the Hub as sources; independent truth: what the tests write."""

import pickle
import shutil

import pytest
from jobs_in_processes import read_in_another_process
from panollava_hf._errors import TableError
from panollava_hf.jobs.sources import open_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path, columns, **settings):
    pq.write_table(pa.table(columns), path, **settings)
    return path


def as_stored(rows):
    """The Arrow table of a dataset; its own `to_parquet` opens the files that the images name."""
    return rows.with_format("arrow")[:].replace_schema_metadata(rows.features.arrow_schema.metadata)


def test_rows_are_read_from_any_place(tmp_path):
    count = 5000
    columns = {
        "id": [f"r{i}" for i in range(count)],
        "url": [f"{i}.jpg" for i in range(count)],
        "query": [f"Where is {i}?" for i in range(count)],
        "n": list(range(count)),
    }
    source = open_source(write(tmp_path / "t.parquet", columns, row_group_size=700))
    image = [str(tmp_path / f"{i}.jpg") for i in range(count)]
    expected = [
        {"id": f"r{i}", "path": image[i], "image": image[i], "question": f"Where is {i}?", "n": str(i)}
        for i in range(count)
    ]
    for start, stop in ((0, 3), (699, 702), (702, 710), (4990, 9999), (100, 101), (0, count)):
        assert source.rows(start, stop) == expected[start:stop]
        assert source.ids(start, stop) == columns["id"][start:stop]
    assert len(pickle.dumps(source)) < 2000
    assert read_in_another_process(source, 2098, 2110) == (columns["id"][2098:2110], expected[2098:2110])
    assert len(open_source(tmp_path / "t.parquet", limit=800).rows(0, 9999)) == 800


def test_the_results_of_a_job(tmp_path):
    vector = pa.list_(pa.float32(), 3)
    view = pa.struct([("yaw_deg", pa.float32()), ("vector", vector)])
    columns = {
        "id": ["a.jpg", "b/b.jpg"],
        "path": [str(tmp_path / "photos/a.jpg"), "https://example.com/b.jpg"],
        "width": pa.array([8, None]),
        "vector": pa.array([[1.0, 2, 3], None], vector),
        "views": pa.array([[{"yaw_deg": 0.0, "vector": [1.0, 2, 3]}], None], pa.list_(view)),
        "error": [None, "it was not there"],
    }
    source = open_source(write(tmp_path / "vectors.parquet", columns))
    assert source.rows(0, 9) == [
        {"id": "a.jpg", "path": columns["path"][0], "image": columns["path"][0], "width": "8"},
        {"id": "b/b.jpg", "path": columns["path"][1], "image": columns["path"][1], "width": None},
    ]
    assert source.notes == ("columns of numbers are not passed along: vector, views",)


def test_images_that_are_stored(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        image=datasets.Image(), mask=datasets.Image(), kind=datasets.ClassLabel(names=["indoor", "outdoor"])
    )
    stored = [{"bytes": b"image %d" % i, "path": f"{i}.jpg"} for i in range(40)]
    stored[3] = None
    stored[4] = {"bytes": None, "path": "../out.jpg"}
    stored[5] = {"bytes": None, "path": "own.jpg"}
    rows = datasets.Dataset.from_dict({"image": stored, "mask": stored, "kind": [0, 1] * 20}, features)
    pq.write_table(as_stored(rows), tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    found = source.rows(0, 99)
    assert {name for row in found for name in row} == {"id", "path", "image", "kind", "error"}
    assert [row["image"] for row in found[6:]] == [one["bytes"] for one in stored[6:]]
    assert [row["path"] for row in found[6:]] == [one["path"] for one in stored[6:]]
    assert [row["kind"] for row in found[:2]] == ["indoor", "outdoor"]
    assert found[3]["error"] == "row 4: the image is blank"
    assert "leads out of the table's folder" in found[4]["error"]
    assert found[5]["image"] == str(tmp_path / "own.jpg")
    assert [row["id"] for row in found] == source.ids(0, 99)
    assert len(set(source.ids(0, 99))) == 40
    assert source.rows(17, 19) == found[17:19]


def test_files_of_one_table(tmp_path):
    for index in (10, 2, 1):
        write(tmp_path / f"part-{index}.parquet", {"id": [f"{index}a", f"{index}b"], "path": ["x.jpg", "y.jpg"]})
    source = open_source(tmp_path)
    assert source.ids(0, 9) == ["1a", "1b", "2a", "2b", "10a", "10b"]
    assert source.ids(1, 3) == ["1b", "2a"]
    assert [row["id"] for row in source.rows(3, 6)] == ["2b", "10a", "10b"]
    assert open_source(tmp_path / "part-{1,2}.parquet").ids(0, 9) == ["1a", "1b", "2a", "2b"]
    write(tmp_path / "part-3.parquet", {"id": ["3a"], "url": ["x.jpg"]})
    with pytest.raises(TableError, match="has other columns than"):
        open_source(tmp_path)
    hub = tmp_path / "snapshot/data"
    hub.mkdir(parents=True)
    for split, name in (("train", "a"), ("train", "b"), ("test", "c")):
        number = "1" if name == "b" else "0"
        write(hub / f"{split}-0000{number}-of-00002.parquet", {"id": [name], "path": ["x.jpg"]})
    assert open_source(tmp_path / "snapshot").ids(0, 9) == ["a", "b"]
    assert open_source(tmp_path / "snapshot", split="test").ids(0, 9) == ["c"]


def test_a_damaged_group_of_rows_does_not_stop_a_job(tmp_path):
    images = [b"%04d" % i * 500 for i in range(60)]
    path = write(tmp_path / "t.parquet", {"image": images, "text": ["t"] * 60}, row_group_size=20, compression="snappy")
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(raw)
    source = open_source(path)
    rows = source.rows(0, 99)
    assert [row["image"] for row in rows] == [*images[:20], *[None] * 20, *images[40:]]
    assert all("row group 2 cannot be read" in row["error"] for row in rows[20:40])
    assert [row["id"] for row in rows] == source.ids(0, 99)
    assert source.rows(25, 27) == rows[25:27]


def test_tables_that_cannot_be_used(tmp_path):
    path = tmp_path / "t.parquet"
    for data, message in (
        (b"", "cannot be read as Parquet"),
        (b"PAR1" + b"x" * 100 + b"PAR1", "cannot be read as Parquet"),
    ):
        path.write_bytes(data)
        with pytest.raises(TableError, match=message):
            open_source(path)
    for columns, message in (
        ({"image": pa.array([], pa.string())}, "has no rows"),
        ({"text": ["a"]}, "has the columns text; expected one of image"),
        ({"id": ["a", "b", "a"], "image": ["x"] * 3}, "the id 'a' is there twice, in row 1 and row 3"),
    ):
        with pytest.raises(TableError, match=message):
            open_source(write(path, columns))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A dataset `owner/rooms` in the local cache, and a Hub that cannot be reached."""
    datasets = pytest.importorskip("datasets")
    from huggingface_hub import constants

    hub_cache, cache = tmp_path / "hub", tmp_path / "cache"
    file = hub_cache / "datasets--owner--rooms/snapshots/1/file.jpg"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"file")
    stored = [{"bytes": b"one", "path": "1.jpg"}, {"bytes": None, "path": str(file)}]
    stored += [{"bytes": None, "path": path} for path in ("/etc/passwd", str(hub_cache / "../secret.jpg"), "own.jpg")]
    features = datasets.Features(image=datasets.Image(), question=datasets.Value("string"))
    rows = datasets.Dataset.from_dict({"image": stored, "question": list("abcde")}, features)
    pq.write_table(as_stored(rows), tmp_path / "t.parquet")
    datasets.load_dataset("parquet", data_files=str(tmp_path / "t.parquet"), cache_dir=str(tmp_path / "first"))
    made = next((tmp_path / "first/parquet").glob("*/*/*/"))
    shutil.copytree(made, cache / "owner___rooms/default/0.0.0/abc")
    info = cache / "owner___rooms/default/0.0.0/abc/dataset_info.json"
    info.write_text(info.read_text().replace('"parquet"', '"rooms"').replace(made.parts[-3], "default"))
    for split in info.parent.glob("parquet-*.arrow"):
        split.rename(split.with_name(split.name.replace("parquet-", "rooms-")))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_cache))
    monkeypatch.chdir(tmp_path)
    return file


def test_a_dataset_of_the_hub(hub):
    source = open_source("owner/rooms")
    rows = source.rows(0, 9)
    assert [row["image"] for row in rows] == [b"one", str(hub), None, None, None]
    assert [row.get("question") for row in rows[:2]] == ["a", "b"]
    for row in rows[2:]:
        assert "a dataset on the Hub must not name files of this machine" in row["error"]
    assert source.rows(1, 2) == rows[1:2]
    assert source.ids(0, 9) == [row["id"] for row in rows]
    assert len(pickle.dumps(source)) < 20_000
    assert read_in_another_process(source, 0, 1) == (source.ids(0, 1), source.rows(0, 1))
    assert len(open_source("owner/rooms", limit=2).rows(0, 9)) == 2


def test_a_dataset_that_is_not_there(hub):
    with pytest.raises(TableError, match="owner/nothing: no such file, folder or dataset"):
        open_source("owner/nothing")
    with pytest.raises(TableError, match="owner/rooms: no such file, folder or dataset"):
        open_source("owner/rooms", split="test")
    (hub.parents[4] / "owner").mkdir()
    with pytest.raises(TableError, match="owner/rooms: no such file or folder"):  # a folder that is here comes first
        open_source("owner/rooms")
