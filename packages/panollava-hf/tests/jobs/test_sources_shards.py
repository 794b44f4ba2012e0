"""WebDataset shards as sources; independent truth: archives written by `tarfile`, or byte by byte, and `tarfile`."""

import gzip
import io
import json
import pickle
import shutil
import subprocess
import tarfile
import time

import pytest
from jobs_in_processes import read_in_another_process
from panollava_hf._errors import TableError
from panollava_hf.jobs.sources import open_source


def write(path, members, form=tarfile.PAX_FORMAT, **settings):
    """Write an archive of names and contents; a content can be a `TarInfo`."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members:
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            for key, value in settings.items():
                setattr(info, key, value)
            if isinstance(data, bytes):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def samples(count, first=0):
    for i in range(first, first + count):
        yield f"{i:05d}.jpg", b"image %d" % i * (i % 7 + 1)
        yield f"{i:05d}.json", json.dumps({"question": f"What is {i}?", "n": i}).encode()
        yield f"{i:05d}.txt", f"caption {i}\n".encode()


def truth(path):
    """The rows of an archive, by `tarfile`."""
    rows = {}
    with tarfile.open(path) as archive:
        for info in archive:
            key, _, suffix = info.name.partition(".")
            row = rows.setdefault(f"{path.stem}/{key}", {"id": f"{path.stem}/{key}"})
            data = archive.extractfile(info).read()
            if suffix == "jpg":
                row |= {"image": data, "path": f"{path}/{info.name}"}
            elif suffix == "json":
                row |= {name: str(value) for name, value in json.loads(data).items()}
            else:
                row["txt"] = data.decode().strip()
    return list(rows.values())


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_read_from_any_place(tmp_path, form):
    path = write(tmp_path / "photos.tar", samples(1200), form)
    expected = truth(path)
    source = open_source(path)
    assert (len(source), source.notes) == (1200, ())
    for start, stop in ((0, 2), (1190, 1300), (511, 514), (514, 516), (300, 301), (0, 1200)):
        assert source.rows(start, stop) == expected[start:stop]
        assert source.ids(start, stop) == [row["id"] for row in expected[start:stop]]
    assert len(pickle.dumps(source)) < 1000
    assert [len(open_source(path, limit=limit)) for limit in (1, 600, 9999)] == [1, 600, 1200]


def test_archives_of_gnu_tar_with_extended_headers(tmp_path):
    tar = shutil.which("tar")
    if tar is None:
        pytest.skip("needs tar")
    folder = tmp_path / "in"
    (folder / ("long" * 40)).mkdir(parents=True)
    names = ["a.jpg", "방.jpg", "long" * 40 + "/" + "name" * 30 + ".jpg"]
    for name in names:
        (folder / name).write_bytes(name.encode())
    for form in ("gnu", "posix", "ustar"):
        path = tmp_path / f"{form}.tar"
        command = [tar, f"--format={form}", "-C", folder, "-cf", path, *(names if form != "ustar" else names[:2])]
        subprocess.run(command, check=True)
        rows = open_source(path).rows(0, 9)
        wanted = names if form != "ustar" else names[:2]
        assert [row["image"].decode() for row in rows] == wanted
        assert [row["id"] for row in rows] == [f"{form}/{name.removesuffix('.jpg')}" for name in wanted]


def test_many_shards(tmp_path):
    paths = [write(tmp_path / f"shards-{i:03d}.tar", samples(5, 5 * i)) for i in range(11)]
    expected = [row for path in paths for row in truth(path)]
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "._shards-000.tar").write_bytes(b"mac")
    fingerprints = set()
    for name in ("", "shards-{000..010}.tar", "shards-*.tar", "shards-0{0..1}[0-9].tar", "{shards}-0[01]?.tar"):
        source = open_source(tmp_path / name)
        assert source.rows(0, 99) == expected
        assert source.rows(23, 31) == expected[23:31]
        fingerprints.add(source.fingerprint())
    assert len(fingerprints) == 1
    assert len(open_source(tmp_path, limit=12)) == 12
    assert open_source(tmp_path, limit=12).rows(9, 99) == expected[9:12]
    assert open_source(tmp_path / "shards-{003,001}.tar").ids(0, 6) == [
        *(f"shards-003/{i:05d}" for i in range(15, 20)),
        "shards-001/00005",
    ]
    assert read_in_another_process(source, 14, 21) == (source.ids(14, 21), source.rows(14, 21))
    with pytest.raises(TableError, match=r"2 of its names are not there: \S*shards-011.tar, \S*shards-012.tar"):
        open_source(tmp_path / "shards-{009..012}.tar")
    with pytest.raises(TableError, match="no such files"):
        open_source(tmp_path / "other-*.tar")
    with pytest.raises(TableError, match="names more than 100,000 files"):
        open_source(str(tmp_path / "{0..999999}") + "/*.tar")


def test_what_a_sample_is(tmp_path):
    members = [
        ("in/a.seg.png", b"mask"),
        ("in/a.JPG", b"pano"),
        ("in/a.depth.txt", b"deep"),
        ("in/a.cls", b"7"),
        ("in/._a.jpg", b"mac"),
        ("in/b.jpg", b"other"),
        ("c.json", b'{"image": "x.jpg", "error": "e", "prompt": "Why?", "id": 3}'),
        ("c.jpg", b"third"),
        ("nosuffix", b"skipped"),
    ]
    source = open_source(write(tmp_path / "s.tar", members))
    first, second, third = source.rows(0, 9)
    assert (first["image"], first["depth.txt"], first["cls"]) == (b"pano", "deep", "7")
    assert (second["id"], second["image"], second["cls"]) == ("s/in/b", b"other", None)
    assert third == {
        "id": "s/c",
        "path": f"{tmp_path}/s.tar/c.jpg",
        "image": b"third",
        "question": "Why?",
        "depth.txt": None,
        "cls": None,
    }
    chosen = open_source(tmp_path / "s.tar", columns={"image": "seg.png", "question": "depth.txt"}).rows(0, 9)
    assert (chosen[0]["image"], chosen[0]["question"]) == (b"mask", "deep")
    assert "the sample has no member with the suffix 'seg.png'" in chosen[1]["error"]


def link(kind, target="/etc/passwd"):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def test_members_that_are_not_read(tmp_path):
    members = [
        ("soft.jpg", link(tarfile.SYMTYPE)),
        ("hard.jpg", link(tarfile.LNKTYPE)),
        ("pipe.jpg", link(tarfile.FIFOTYPE)),
        ("device.jpg", link(tarfile.CHRTYPE)),
        ("folder.jpg", link(tarfile.DIRTYPE)),
        ("big.jpg", b"x"),
        ("big.json", b" " * (2**20 + 1)),
        ("bad.jpg", b"x"),
        ("bad.json", b"{"),
        ("text.jpg", b"x"),
        ("text.txt", b"\xff\xfe\xfd"),
        ("only.json", b"{}"),
        ("../../up.jpg", b"up"),
        ("/root.jpg", b"root"),
        ("good.jpg", b"good"),
    ]
    rows = {row["id"]: row for row in open_source(write(tmp_path / "s.tar", members)).rows(0, 99)}
    assert len(rows) == 11
    errors = {name.removeprefix("s/"): row.get("error") for name, row in rows.items()}
    assert errors["soft"] == "soft.jpg: it is a link, not a file"
    assert errors["hard"] == "hard.jpg: it is a link, not a file"
    assert "not a plain file" in errors["pipe"]
    assert "not a plain file" in errors["device"]
    assert "1,048,577 bytes; at most 1,048,576 are read" in errors["big"]
    assert errors["bad"] == "bad.json: expected one object in JSON"
    assert "not text in UTF-8" in errors["text"]
    assert "no image; its members are json" in errors["only"]
    assert [rows[name]["image"] for name in ("s/../../up", "s//root", "s/good")] == [b"up", b"root", b"good"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.tar"]


def plain(count=4):
    return [(f"{i}.jpg", b"J" * 1000) for i in range(count)]  # 1536 bytes each


@pytest.mark.parametrize(
    ("damage", "good", "error"),
    [
        (lambda raw: raw[:3900], 2, "it is cut off"),
        (lambda raw: raw[:3300], 2, "byte 3072: it is damaged"),
        (lambda raw: raw[:3072] + b"\xff" * 100 + raw[3172:], 2, "byte 3072: it is damaged"),
        (lambda raw: raw[: 3072 + 124] + b"77777777777\0" + raw[3072 + 136 :], 2, "byte 3072: it is damaged"),
        (lambda raw: raw[:6144] + b"text after the last member" * 30, 4, "byte 6144: it is damaged"),
    ],
    ids=["in a member", "in a header", "a header", "a size", "behind"],
)
def test_damaged_archives(tmp_path, damage, good, error):
    path = write(tmp_path / "s.tar", plain())
    path.write_bytes(damage(path.read_bytes()))
    source = open_source(path)
    rows = source.rows(0, 99)
    assert len(rows) == len(source)
    assert [row["image"] for row in rows if "error" not in row] == [b"J" * 1000] * good
    assert [row.get("error", "") for row in rows][:good] == [""] * good
    assert error in rows[-1]["error"]
    assert len(source.notes) == 1
    assert source.rows(len(rows) - 1, len(rows)) == rows[-1:]


def header(name, size, kind=b"0"):
    """A header of an archive as POSIX describes it; a negative or huge size is written in base 256."""
    field = b"%011o\0" % size if 0 <= size < 8**11 else (size % 256**12).to_bytes(12, "big")
    if not 0 <= size < 8**11:
        field = bytes([0xFF if size < 0 else 0x80]) + field[1:]
    raw = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field + b"00000000000\0" + b" " * 8 + kind
    raw = raw.ljust(257, b"\0") + b"ustar\x0000"
    raw = raw.ljust(512, b"\0")
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


@pytest.mark.parametrize(
    "hostile",
    [
        header(b"x.jpg", -512),
        header(b"x.jpg", -1024),
        header(b"x.jpg", 2**62),
        header(b"x", 2**40, b"L"),
        header(b"x", 2**40, b"x"),
        header(b"x", 600, b"x") + b"99999999 path=y\n".ljust(1024, b"\0"),
        header(b"x", 600, b"L") * 3000,
        header(b"x.jpg", 2**40, b"S"),
        b"\x80" * 512,
    ],
    ids=["-512", "-1024", "2**62", "long name", "long pax", "bad pax", "chain", "sparse", "base 256"],
)
def test_hostile_headers(tmp_path, hostile):
    start = header(b"good.jpg", 4) + b"good".ljust(512, b"\0")
    (tmp_path / "s.tar").write_bytes(start + hostile + b"\0" * 1024)
    begun = time.process_time()
    rows = open_source(tmp_path / "s.tar").rows(0, 99)
    assert time.process_time() - begun < 5
    assert rows[0]["image"] == b"good"
    assert len(rows) <= 3
    assert all(row["error"] and row["image"] is None for row in rows[1:])


def test_archives_that_cannot_be_used(tmp_path):
    raw = write(tmp_path / "good.tar", plain(2)).read_bytes()
    kinds = {
        "gz.tar": gzip.compress(raw),
        "text.tar": b"hello world" * 100,
        "empty.tar": b"",
        "zeros.tar": b"\0" * 9999,
    }
    messages = ("compressed; make it a .tar with `gunzip`", "byte 0: it is damaged", "it is empty", "has no samples")
    for (name, data), message in zip(kinds.items(), messages, strict=True):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TableError, match=message):
            open_source(tmp_path / name)
    source = open_source(tmp_path)  # one of them does not stop a job
    rows = source.rows(0, 99)
    assert [row["id"] for row in rows if "error" not in row] == ["good/0", "good/1"]
    assert [row["id"] for row in rows if "error" in row] == ["empty/(damaged)", "gz/(damaged)", "text/(damaged)"]
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(raw))
    with pytest.raises(TableError, match="is compressed; decompress it"):
        open_source(tmp_path / "x.tar.gz")


def test_members_of_a_sample_that_are_apart(tmp_path):
    path = write(tmp_path / "s.tar", [("1.jpg", b"x"), ("2.jpg", b"x"), ("1.json", b"{}")])
    with pytest.raises(TableError, match=r"the id 's/1' is there twice.*must follow each other \(tar --sort=name\)"):
        open_source(path)


def test_an_archive_that_changes_during_the_job(tmp_path):
    source = open_source(write(tmp_path / "s.tar", plain(2)))
    with (tmp_path / "s.tar").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(TableError, match="was changed while the job ran"):
        source.rows(0, 1)
