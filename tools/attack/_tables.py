"""Tables of questions: CSV, JSONL, JSON and Parquet; checking and repairing them; long and deep ones."""

import csv
import io
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tools.attack._commands import command
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import TEXTS, encode, json_bytes, mutate_bytes, mutate_text, mutate_tree

HEADERS = (
    *(("url", "query", "annotation"), ("url", "instruction", "response"), ("image", "question", "answer")),
    ("scene", "image", "question", "answer", "family"),
)


def read(folder: Path, attempt: Attempt) -> None:
    """Read every row of the table."""
    from panollava_hf.data import read_examples

    examples = read_examples(folder / attempt.values["name"])
    for index in range(min(len(examples), 200)):
        examples[index]
    examples.groups()


def check(folder: Path, attempt: Attempt) -> None:
    """Check and repair the table with the command, then read what it wrote."""
    path = folder / attempt.values["name"]
    command(["data", "check", str(path), "--fix", str(folder / "fixed.csv")], codes=(0, 1))


def _rows(rng: Random, columns: int) -> list[list[str]]:
    """Rows as people write them."""
    questions = ("What is it?", "Where is the door, roughly?", 'A "big" room?', "Wo ist die Tür?", "1,5 m?", "")
    rows = []
    for number in range(rng.choice((1, 2, 5, 30))):
        image = rng.choice((f"p{number}.jpg", f"https://x.test/{number}.jpg?a=1,2", f"a,b/{number}.png", "x.jpg"))
        row = [image, rng.choice(questions), rng.choice(("A room.", "3", "None", "yes, two", '5" wide', *TEXTS[:15]))]
        rows.append([*row, "s1", "where"][:columns])
    return rows


@kind("table.csv", read, weight=2)
def table(rng: Random, number: int) -> Attempt:
    """CSV files, right and wrong: separators, quotes, headers, encodings, line ends."""
    return Attempt({"t.csv": _csv(rng)}, {"name": "t.csv"})


@kind("table.check", check, weight=2)
def checked(rng: Random, number: int) -> Attempt:
    """The same files for `data check --fix`."""
    return Attempt({"t.csv": _csv(rng)}, {"name": "t.csv"})


def _csv(rng: Random) -> bytes:
    header = rng.choice(HEADERS)
    rows = _rows(rng, len(header))
    stream = io.StringIO(newline="")
    separator = rng.choice(",,,,;\t")
    if rng.random() < 0.5:
        csv.writer(stream, delimiter=separator, lineterminator=rng.choice(("\n", "\r\n", "\r"))).writerows(
            [list(header), *rows]
        )
        text = stream.getvalue()
    else:
        text = "\n".join(separator.join(row) for row in [list(header), *rows])
    if rng.random() < 0.6:
        text = mutate_text(rng, text)
    data = encode(rng, text)
    return mutate_bytes(rng, data, 2) if rng.random() < 0.2 else data


@kind("table.jsonl", read, weight=2)
def lines(rng: Random, number: int) -> Attempt:
    """JSONL and JSON files: rows of other types, missing and additional fields, deep values."""
    rows: list[Any] = [{"image": "x.jpg", "question": "What?", "answer": "A room."} for _ in range(3)]
    if rng.random() < 0.8:
        rows = mutate_tree(rng, rows)
    if isinstance(rows, list) and rng.random() < 0.8:
        return Attempt({"t.jsonl": b"\n".join(json_bytes(rng, row, line=True) for row in rows)}, {"name": "t.jsonl"})
    return Attempt({"t.json": json_bytes(rng, rows)}, {"name": "t.json"})


@cache
def _parquet() -> bytes:
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    columns = {"image": ["a.jpg", "b.jpg"], "question": ["What?", "Where?"], "answer": ["A room.", "left"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


@kind("table.parquet", read)
def parquet(rng: Random, number: int) -> Attempt:
    """Damaged Parquet files."""
    return Attempt({"t.parquet": mutate_bytes(rng, _parquet())}, {"name": "t.parquet"})


@kind("table.long", check)
def long(rng: Random, number: int) -> Attempt:
    """One very long row, one open quote before many lines: time must grow with the size of the file."""
    size = rng.choice((200_000, 500_000, 1_000_000))
    texts = (
        "url,query,annotation\nx.jpg," + "a," * size,
        'url,query,annotation\nx.jpg,"open,b\n' + "a,b,c\n" * size,
        "url,query,annotation\n" + "x.jpg,a" + '"' * size + ",b\n",
        "url,query,annotation\n" + 'x.jpg,"a"b",c\n' * (size // 10),
        "url,query,annotation\n" + "," * size,
        "url,query,annotation\n" + "x.jpg,a, b\n" * (size // 10),
    )
    return Attempt({"t.csv": texts[number % len(texts)].encode()}, {"name": "t.csv"})


@kind("table.odd", read)
def odd(rng: Random, number: int) -> Attempt:
    """Empty files, only a header, NUL bytes, deep JSON, another header in the middle, names that are not UTF-8."""
    deep = b'{"image": "x.jpg", "question": "q", "answer": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    row = {"image": "x.jpg", "question": "What?", "answer": "A"}
    contents = (
        ("t.csv", b""),
        ("t.csv", b"url,query,annotation\n"),
        ("t.csv", b"url,query,annotation\nx\0y.jpg,What?,A\n"),
        ("t.csv", b"\xff\xfeu\0r\0l\0"),
        ("t.csv", b"image,question,answer\na.jpg,q,a\nimage,question,answer\nb.jpg,q,a\n"),
        ("t.csv", b"a,b\n1,2\n"),
        ("t.csv", b"image,image,question,answer\na,b,c,d\n"),
        ("t.jsonl", b""),
        ("t.jsonl", b"\n\n\n"),
        ("t.jsonl", deep),
        ("t.jsonl", b"\xff\xfe\xfa\n"),
        ("t.jsonl", b"null\n"),
        ("t.jsonl", b"[1]\n"),
        ("t.jsonl", json.dumps({**row, "answer": None}).encode()),
        ("t.jsonl", json.dumps({**row, "image": {"bytes": None, "path": None}}).encode()),
        ("t.jsonl", json.dumps({**row, "image": "../../etc/passwd"}).encode()),
        ("t.json", b"{}"),
        ("t.parquet", b""),
        ("t.parquet", _parquet()[:-9]),
        ("t.txt", b"x"),
    )
    name, data = contents[number % len(contents)]
    return Attempt({name: data}, {"name": name})
