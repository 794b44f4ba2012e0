"""The tables: two for the training, and the benchmark with its known, held-out and unknown wordings."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from panollava_hf._files import write_whole
from panollava_hf.panoshapes import write_panoshapes

from tools.held_out_wordings import UNKNOWN_QUESTIONS, held_out_question, held_out_templates

#: Splits with held-out wordings: their language and their writer.
HELD_OUT = {
    "held-out-english": ("en", "author"),
    "held-out-korean": ("ko", "author"),
    "first-english": ("en", "first"),
    "first-korean": ("ko", "first"),
    "second-english": ("en", "second"),
    "second-korean": ("ko", "second"),
    "third-english": ("en", "third"),
    "third-korean": ("ko", "third"),
}
#: Splits with questions that no scene answers: their writer.
UNKNOWN = {
    "unknown-words": "author",
    "first-unknown": "first",
    "second-unknown": "second",
    "third-unknown": "third",
}
#: Share of the benchmark's questions that are asked in held-out wordings.
_SHARE = 0.25


def write(work: Path, scale: float) -> None:
    """Write the tables that are not there yet. The recipe `panoshapes` names the same commands."""
    folder = work / "data"
    folder.mkdir(exist_ok=True)
    many: dict[str, Any] = {"width": 512, "wordings": "many"}
    _split(folder / "panoshapes", "train", scaled(20_000, scale), questions_per_family=4, **many)
    _split(folder / "pairs", "train", scaled(20_000, scale), seed=1, questions_per_family=12, max_objects=8, **many)
    test = _split(folder / "test", "test", scaled(1000, scale), width=512)
    for split, (language, writer) in HELD_OUT.items():
        _table(test / f"{split}.jsonl", held_out_rows(test / "test.jsonl", language, writer))
    for split, writer in UNKNOWN.items():
        _table(test / f"{split}.jsonl", unknown_rows(test / "test.jsonl", UNKNOWN_QUESTIONS[writer]))


def scaled(number: int, scale: float) -> int:
    """A share of a number, and at least 8."""
    return max(round(number * scale), 8)


def _split(folder: Path, split: str, count: int, **options: Any) -> Path:
    if not (folder / f"{split}.jsonl").is_file():
        write_panoshapes(folder, split, count, **options)
    return folder


def held_out_rows(table: Path, language: str, writer: str) -> list[dict[str, Any]]:
    """Questions of a table in held-out wordings; every template is drawn equally often for its family."""
    rng = Random(f"held-out {language}")
    rows = []
    for row in _rows(table):
        if rng.random() < _SHARE:
            program = json.loads(row["program"])
            template = rng.choice(held_out_templates(program, language, writer=writer))
            question = held_out_question(program, template, rng, language, writer=writer)
            rows.append({**{key: row[key] for key in ("image", "answer", "family")}, "question": question})
    return rows


def unknown_rows(table: Path, questions: Sequence[str]) -> list[dict[str, Any]]:
    """Every question about unknown things, about one scene each."""
    images = list(dict.fromkeys(row["image"] for row in _rows(table)))
    return [
        {"image": images[place % len(images)], "question": question, "answer": "unknown", "family": "unknown"}
        for place, question in enumerate(questions)
    ]


def _rows(table: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]


def _table(path: Path, rows: list[dict[str, Any]]) -> None:
    write_whole(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
