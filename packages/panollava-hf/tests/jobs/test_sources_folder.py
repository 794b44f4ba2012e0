"""Folders, lists and single images as sources; independent truth: the files that the tests write, and `os.walk`."""

import os
import pickle
import time
from pathlib import Path

import pytest
from jobs_in_processes import read_in_another_process
from panollava_hf._errors import TableError, UsageError
from panollava_hf.jobs.sources import open_source


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_a_folder_with_subfolders_in_natural_order(tmp_path):
    names = ["b/2.JPG", "b/10.jpeg", "a.PNG", "c/d/e.webp"]
    touch(tmp_path, *names, "notes.md", "b/video.mp4", ".hidden.jpg", "._a.PNG", "Thumbs.db", ".git/x.jpg")
    touch(tmp_path, "@eaDir/thumb.jpg", "__MACOSX/y.jpg")
    source = open_source(tmp_path)
    assert source.ids(0, 9) == ["a.PNG", "b/2.JPG", "b/10.jpeg", "c/d/e.webp"]
    assert source.notes == ("2 files are not images: b/video.mp4, notes.md",)
    assert [row["image"] for row in source.rows(1, 3)] == [str(tmp_path / "b/2.JPG"), str(tmp_path / "b/10.jpeg")]
    assert all(row["path"] == row["image"] for row in source.rows(0, 4))
    assert [len(open_source(tmp_path, limit=limit)) for limit in (1, 3, 9)] == [1, 3, 4]
    again = open_source(tmp_path)
    assert again.fingerprint() == source.fingerprint()
    touch(tmp_path, "z.jpg")
    assert open_source(tmp_path).fingerprint() != source.fingerprint()


def test_views_of_crop_are_not_panoramas(tmp_path):
    views = ["a/plan.json", "a/view_01.png", "a/View_12.JPG", "a/footprint.jpg"]
    touch(tmp_path, "a.jpg", "b/view_01.png", "a/other.png", "a/deep/c.jpg", *views)
    source = open_source(tmp_path)
    assert source.ids(0, 9) == ["a.jpg", "a/deep/c.jpg", "a/other.png", "b/view_01.png"]
    assert source.notes == ("views in 1 folder were cut by crop, and are not panoramas: a",)
    touch(tmp_path / "cut", "plan.json", "view_01.png")
    with pytest.raises(TableError, match=r"contains no images .*; views in 1 folder were cut by crop"):
        open_source(tmp_path / "cut")


def test_links(tmp_path):
    outside = touch(tmp_path / "outside", "far.jpg").resolve()
    folder = touch(tmp_path / "photos", "own.jpg", "inner/deep.jpg")
    (folder / "far.jpg").symlink_to(outside / "far.jpg")  # as in the cache of the Hub
    (folder / "gone.jpg").symlink_to(folder / "nothing.jpg")
    (folder / "loop").symlink_to(folder)
    (folder / "inner/up").symlink_to("..")
    (folder / "away").symlink_to(outside)
    (folder / "self.jpg").symlink_to(folder / "self.jpg")
    source = open_source(folder)
    assert source.ids(0, 9) == ["far.jpg", "gone.jpg", "inner/deep.jpg", "own.jpg", "self.jpg"]
    assert len(source.notes) == 1
    assert source.notes[0].startswith("3 links to folders were not followed: ")
    (tmp_path / "link").symlink_to(folder)
    assert open_source(tmp_path / "link").ids(0, 9) == source.ids(0, 9)


def test_what_is_named_like_an_image_but_is_none(tmp_path):
    touch(tmp_path, "a.jpg", "folder.jpg/b.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    source = open_source(tmp_path)
    assert source.ids(0, 9) == ["a.jpg", "folder.jpg/b.png"]
    assert source.notes == ("1 file is not an image: pipe.jpg",)
    with pytest.raises(TableError, match="is not a file"):
        open_source(tmp_path / "pipe.jpg")


def test_names_that_are_not_unicode(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    touch(tmp_path, "날씨 [final].jpg", "new\nline.jpg")
    source = pickle.loads(pickle.dumps(open_source(tmp_path)))
    assert source.ids(0, 9) == ["caf\\xe9.jpg", "new\nline.jpg", "날씨 [final].jpg"]
    row = source.rows(0, 1)[0]
    assert Path(row["image"]).read_bytes() == b"x"
    row["path"].encode()


def test_a_large_folder_is_listed_at_once_and_pickles_small(tmp_path):
    count = 20_000
    for index in range(count):
        os.close(os.open(tmp_path / f"pano_{index:06d}.jpg", os.O_CREAT))
    start = time.process_time()
    source = open_source(tmp_path)
    assert time.process_time() - start < 2
    assert len(source) == count
    assert len(pickle.dumps(source)) < 10 * count
    assert source.ids(12_345, 12_346) == ["pano_012345.jpg"]
    assert len(list(os.scandir(tmp_path))) == count


def test_in_another_process(tmp_path):
    source = open_source(touch(tmp_path, "a.jpg", "b/c.jpg"))
    assert read_in_another_process(source, 0, 2) == (source.ids(0, 2), source.rows(0, 2))


def test_relative_names_become_absolute(tmp_path, monkeypatch):
    touch(tmp_path, "photos/a.jpg", "list.txt")
    (tmp_path / "list.txt").write_text("photos/a.jpg\n")
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "list.txt", "photos/a.jpg"):
        assert open_source(name).rows(0, 1)[0]["image"] == str(tmp_path / "photos/a.jpg")


def test_a_list_of_paths_and_urls(tmp_path):
    touch(tmp_path, "a.jpg")
    lines = ["a.jpg", "", "https://example.com/b.jpg?key=secret", "../out.jpg", "missing.jpg", "a.jpg"]
    (tmp_path / "panoramas.txt").write_text("\r\n".join(lines))
    source = open_source(tmp_path / "panoramas.txt")
    rows = source.rows(0, 9)
    assert [row["image"] for row in rows] == [
        str(tmp_path / "a.jpg"),
        "https://example.com/b.jpg?key=secret",
        None,
        str(tmp_path / "missing.jpg"),
        str(tmp_path / "a.jpg"),
    ]
    assert "leads out of the table's folder" in rows[2]["error"]
    assert "line 4" in rows[2]["error"]
    assert [row.get("error") is None for row in rows] == [True, True, False, True, True]
    assert len(set(source.ids(0, 9))) == 5
    assert read_in_another_process(source, 1, 4) == (source.ids(1, 4), source.rows(1, 4))


def test_single_images(tmp_path):
    touch(tmp_path, "a.jpg")
    source = open_source(tmp_path / "a.jpg")
    assert source.rows(0, 5) == [{"id": "a.jpg", "path": str(tmp_path / "a.jpg"), "image": str(tmp_path / "a.jpg")}]
    url = "https://example.com/a.jpg?token=secret#part"
    source = open_source(url)
    assert source.rows(0, 1)[0]["image"] == url
    assert "secret" not in source.name + source.ids(0, 1)[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "photoz",
            r"no such file or folder; did you mean photos or photos.zip\?; expected a folder of images, a table",
        ),
        ("photos/ready.jpg", r"did you mean \S*photos/read.jpg"),
        ("empty", "contains no images and no train.csv"),
        ("others", "its tables are test.csv: name one of them, or choose another split"),
        ("notes.md", r"unknown kind of file '.md'"),
        ("noname", "a file without a suffix"),
        ("photos.zip", "is compressed; decompress it"),
        ("a/b/c/d", "no such file or folder"),
        ("", "an empty name"),
        ("-", "standard input"),
        ("ftp://host/a.jpg", "a URL can be an image"),
        ("https://host/table.csv?key=secret", "https://host/table.csv: a URL can be an image"),
        ("a\0b.jpg", "a\ufffdb.jpg: "),
        ("x" * 5000, "xxx: "),
    ],
)
def test_sources_that_cannot_be_used(tmp_path, monkeypatch, name, message):
    touch(tmp_path, "photos/read.jpg", "notes.md", "others/test.csv", "photos.zip", "noname")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match=message) as caught:
        open_source(name)
    text = str(caught.value)
    assert "\n" not in text
    assert "secret" not in text
    assert len(text) < 600


def test_arguments_that_cannot_be_used(tmp_path):
    touch(tmp_path, "a.jpg")
    with pytest.raises(UsageError, match="limit must be at least 1, got 0"):
        open_source(tmp_path, limit=0)
    with pytest.raises(UsageError, match="'path' cannot be set"):
        open_source(tmp_path, columns={"path": "file"})
