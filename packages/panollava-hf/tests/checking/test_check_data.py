"""`check_data` and `data check`: what is found, in every kind of table, and the page."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from panollava_hf import default_checkpoint
from panollava_hf.checking import Options, check_data
from panollava_hf.checking._report import numbers
from panollava_hf.cli import run
from panollava_hf.data import TableError, read_examples
from PIL import Image


@pytest.fixture(autouse=True)
def _caches(datasets_cache):
    """`datasets` caches tables in a temporary folder."""


@pytest.fixture
def panorama(tmp_path):
    """Writes a panorama of noise, equal for equal seeds."""

    def write(name, seed=0, size=(256, 128)):
        pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
        return name

    return write


def write_table(path, *rows, header=("image", "question", "answer"), delimiter=",", encoding="utf-8"):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def found(report, level="error"):
    return [(one.kind, one.where.rpartition("/")[2]) for one in report.problems if one.level == level]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_separator_and_encoding_are_named(tmp_path, panorama, delimiter, encoding):
    path = write_table(
        tmp_path / "t.csv", (panorama("a.png"), "What?", "A room."), delimiter=delimiter, encoding=encoding
    )
    report = check_data(path)
    name = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}[delimiter]
    assert report.tables[0].format == f"CSV with {name}, {encoding.upper().removesuffix('-SIG')}"
    assert not report.problems
    assert len(read_examples(path)) == report.tables[0].rows == 1


def test_images(tmp_path, panorama):
    (tmp_path / "text.jpg").write_text("not an image " * 100)
    (tmp_path / "empty.jpg").touch()
    whole = (tmp_path / panorama("whole.jpg", size=(512, 256))).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    panorama("square.png", size=(300, 300))
    panorama("tiny.png", size=(64, 32))
    panorama("small.png", size=(128, 64), seed=2)
    panorama("same.png")
    panorama("copy.png")
    panorama("other.png", seed=1)
    names = ["text.jpg", "empty.jpg", "cut.jpg", "square.png", "tiny.png", "same.png", "copy.png", "other.png"]
    names += ["small.png"]
    names += ["gone.png", "../out.png", "https://example.org/a.jpg?token=SECRET"]
    path = write_table(tmp_path / "t.csv", *((name, "What?", "A room.") for name in names))
    report = check_data(path)
    unreadable = [("unreadable image", f"t.csv:{line}") for line in (2, 3, 5)]
    assert sorted(found(report)) == sorted([*unreadable, ("missing image", "t.csv:11"), ("unusable image", "t.csv:12")])
    assert found(report, "note") == [("small panoramas", "t.csv:6"), ("URLs", "t.csv:13"), ("equal files", "t.csv:8")]
    (text,) = [problem.text for problem in report.problems if problem.kind == "small panoramas"]
    assert text == "2 panoramas less than 256 pixels wide, the smallest: tiny.png, 64"
    assert "SECRET" not in json.dumps(report.to_json())
    panoramas = report.tables[0].panoramas
    assert (panoramas.count, panoramas.files, panoramas.urls, panoramas.missing) == (12, 9, 1, 2)
    assert (panoramas.widths.least, panoramas.widths.most) == (64, 512)
    decoded = check_data(path, Options(decode=True))
    assert ("unreadable image", "t.csv:4") in found(decoded)
    assert len(found(decoded)) == len(found(report)) + 1


def test_a_partial_panorama_and_a_dual_fisheye(shared, tmp_path):
    names = ["gpano_two_packets.jpg", "dual_fisheye.jpg", "exif_signed_rational.jpg"]
    for name in names:
        (tmp_path / name).write_bytes((shared / "cases" / name).read_bytes())
    path = write_table(tmp_path / "t.csv", *((name, "What?", "A card.") for name in names))
    assert not check_data(path).problems
    (problem,) = check_data(path, Options(decode=True)).problems
    assert (problem.level, problem.kind, problem.where) == ("note", "doubtful panorama", f"{path}:3")
    assert "dual fisheye" in problem.text


def test_copies_and_contradictions(tmp_path, panorama):
    a, b = panorama("a.png"), panorama("b.png", seed=1)
    rows = [
        (a, "Is it indoors?", "Yes."),
        (a, "Is it indoors?", "yes"),
        (a, "is it indoors", "No"),
        (b, "Is it indoors?", "no"),
        (f"./{a}", "Is it indoors?", "Yes."),
        (a, "How many?", "3"),
    ]
    report = check_data(write_table(tmp_path / "t.csv", *rows))
    assert not found(report)
    assert found(report, "note") == [("two answers", "t.csv:4"), ("copy", "t.csv:6")]
    (table,) = report.tables
    assert table.panoramas.count == 2
    assert (table.panoramas.questions.least, table.panoramas.questions.most) == (1, 5)
    assert table.answers.kinds == {"yes or no": 5, "number": 1}
    assert table.answers.common[0] == ("Yes.", 2)
    assert (table.questions.lengths.least, table.questions.lengths.most) == (2, 3)


def test_splits_that_share_panoramas(tmp_path, panorama):
    for name, seed in {"a.png": 0, "b.png": 1, "b copy.png": 1, "c.png": 2, "d.png": 3}.items():
        panorama(name, seed)
    write_table(tmp_path / "train.csv", ("a.png", "What?", "A"), ("b.png", "What?", "B"))
    write_table(tmp_path / "val.csv", ("c.png", "What?", "C"), ("b copy.png", "What?", "B"))
    (tmp_path / "test.jsonl").write_text(json.dumps({"image": "./a.png", "question": "Q?", "answer": "A"}) + "\n")
    (tmp_path / "scenes-old.jsonl").write_text("{}\n")
    (tmp_path / "notes.csv").write_text("date,text\nMonday,hello\n")
    report = check_data(tmp_path)
    assert [table.split for table in report.tables] == ["train", "val", "test"]
    assert not found(report)
    shared = [one for one in report.problems if one.kind == "shared panorama"]
    assert [(one.where.rpartition("/")[2], one.text) for one in shared] == [
        ("val.csv:3", "b copy.png (same content: b.png) is also in train (train.csv, line 3)"),
        ("test.jsonl:1", "./a.png is also in train (train.csv, line 2)"),
    ]
    assert next(one.text for one in report.problems if one.kind == "other file").startswith("not looked at: ")
    only = check_data(tmp_path, Options(split="val"))
    assert [table.split for table in only.tables] == ["val"]
    with pytest.raises(TableError, match="choose another split"):
        check_data(tmp_path, Options(split="dev"))


def test_embedded_images(tmp_path, panorama):
    datasets = pytest.importorskip("datasets")
    files = [(tmp_path / panorama(f"{seed}.png", seed)).read_bytes() for seed in (0, 1, 0)]
    images = [{"bytes": data, "path": None} for data in (*files, b"damaged")]
    rows = {"image": images, "question": ["What?"] * 4, "answer": ["A", "B", "A", "C"]}
    features = datasets.Features(
        image=datasets.Image(), question=datasets.Value("string"), answer=datasets.Value("string")
    )
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "t.parquet")
    report = check_data(tmp_path / "t.parquet", Options(samples=True))
    assert found(report) == [("unreadable image", "t.parquet, row 4")]
    assert found(report, "note") == [("copy", "t.parquet, row 3")]
    (table,) = report.tables
    assert (table.panoramas.count, table.panoramas.embedded) == (3, 3)
    assert [sample.turns for sample in table.samples] == [(("What?", "A"),) * 2, (("What?", "B"),)]
    assert Image.open(__import__("io").BytesIO(table.samples[0].image)).size == (256, 128)


def test_options_of_multiple_choice(tmp_path, panorama):
    header = ("image", "question", "options", "answer")
    a = panorama("a.png")
    rows = [(a, "What?", "a door | a window", answer) for answer in ("A", "a window", "C", "a wall")]
    report = check_data(write_table(tmp_path / "t.csv", *rows, header=header))
    assert found(report) == [("unusable options", "t.csv:4"), ("unusable options", "t.csv:5")]
    assert report.tables[0].multiple_choice == 2


def test_tokens_and_rows_that_are_too_long(tmp_path, panorama):
    rows = [(panorama("a.png"), "Where is the red cube?", "left"), ("a.png", "word " * 5000, "left")]
    path = write_table(tmp_path / "t.csv", *rows)
    report = check_data(path, Options(tokenizer="embedded"))
    assert found(report) == [("long row", "t.csv:3")]
    lengths = report.tables[0].questions
    assert lengths.unit == "tokens"
    tokenizer = __import__("transformers").AutoTokenizer.from_pretrained(default_checkpoint())
    assert lengths.lengths.least == len(tokenizer(rows[0][1], add_special_tokens=False)["input_ids"])


def test_a_limit(tmp_path, panorama):
    path = write_table(tmp_path / "t.csv", (panorama("a.png"), "Q?", "A"), ("gone.png", "Q?", " "))
    assert check_data(path).count("error") == 1
    report = check_data(path, Options(limit=1))
    assert not report.problems
    assert report.tables[0].rows == 1


def test_many_problems_are_counted(tmp_path):
    path = write_table(tmp_path / "t.csv", *((f"{i}.png", "Q?", "A") for i in range(3000)))
    report = check_data(path)
    assert report.counts == {("error", "missing image"): 3000}
    assert len(report.problems) == 1000


@pytest.mark.parametrize(
    ("values", "bins"),
    [([1, 2, 2, 5], 5), ([7], 1), (list(range(100)), 20), ([1] * 500 + [10**6], 1), (np.arange(48) % 25, 13)],
)
def test_every_value_is_in_one_bin(values, bins):
    distribution = numbers(values)
    assert len(distribution.bins) == bins
    for low, high, count in distribution.bins:
        assert count == sum(low <= value <= high for value in values)
    assert sum(count for _, _, count in distribution.bins) == len(values)
    assert (distribution.least, distribution.most) == (min(values), max(values))


class Reader(HTMLParser):
    """Collects the tags of a page, and what they refer to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.references, self.texts, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "xlink:href", "action")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page(tmp_path, panorama, capsys):
    evil = "<script>alert(1)</script>"
    path = write_table(
        tmp_path / "t.csv",
        (panorama("a.png"), evil, 'x" onload="alert(1)'),
        ("a.png", "Is it {{ 7 * 7 }}?", "yes"),
        ("gone.png", "Q?", evil),
        ("a.png", "Is it?", "yes"),
    )
    page = tmp_path / "page.html"
    assert run(["data", "check", str(path), "--report", str(page)]) == 2
    capsys.readouterr()
    text = page.read_text()
    reader = Reader(text)
    assert not reader.open
    assert "script" not in reader.tags
    assert all(reference.startswith("data:image/jpeg;base64,") for reference in reader.references)
    assert len(reader.references) == 1
    assert not re.search(r"url\(|@import|https?://", text)
    assert evil in reader.texts
    assert "Is it {{ 7 * 7 }}?" in reader.texts
    assert reader.tags.count("svg") == 4
    assert any("no such image" in one for one in reader.texts)
    assert run(["data", "check", str(path), "--report", str(tmp_path / "no" / "folder" / "page.html")]) == 2
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_json(tmp_path, panorama, capsys):
    path = write_table(tmp_path / "t.csv", (panorama("a.png"), "Q?", "A"), ("gone.png", "Q?", "A"))
    assert run(["data", "check", str(path), "--json"]) == 2
    content = json.loads(capsys.readouterr().out)
    assert (content["errors"], content["notes"]) == (1, 0)
    assert content["problems"][0] == {
        **{"level": "error", "kind": "missing image", "where": f"{path}:3", "detail": ""},
        "text": f"no such image: {tmp_path / 'gone.png'}",
    }
    assert content["tables"][0]["columns"] == {"image": "image", "question": "question", "answer": "answer"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.csv"], "no such file or folder"),
        ([".", "--split", "train"], "contains no train.csv"),
        (["t.txt"], "expected .csv, .jsonl or .parquet"),
        (["t.csv", "--tokenizer", "./gone"], "no such folder"),
        (["t.csv", "--column", "text=x"], "unknown role text"),
        (["other.csv"], "expected one of question"),
    ],
)
def test_usage_errors_are_one_line(tmp_path, monkeypatch, capsys, panorama, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "t.csv", (panorama("a.png"), "Q?", "A"))
    write_table(tmp_path / "other.csv", ("a.png", "Q?"), header=("image", "text"))
    (tmp_path / "t.txt").write_text("x")
    assert run(["data", "check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1
