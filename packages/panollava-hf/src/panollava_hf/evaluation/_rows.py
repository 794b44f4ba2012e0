"""Rows of an evaluation: a panorama, a question and the expected answer."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panollava_hf._errors import EvaluationError
from panollava_hf.data._examples import Examples, read_examples

#: The family of rows whose answers are sentences, judged by overlap of words instead of equality.
CAPTION = "caption"
#: The family of rows that name none.
PLAIN = "question"


@dataclass(frozen=True)
class Row:
    """One question.

    Attributes:
        index: Its place in the table, from 0.
        place: File and row, for messages.
        key: What its panorama is told by; rows of one key share a picture.
        image: What `load_equirectangular` reads.
        question: The question.
        answer: The expected answer.
        family: Kind of question.
        scene: Name of the scene, where the data has scenes.
        program: What is asked, as JSON, where the data has it.
    """

    index: int
    place: str
    key: str
    image: Any
    question: str
    answer: str
    family: str
    scene: str | None = None
    program: str | None = None

    @property
    def is_caption(self) -> bool:
        """Whether the expected answer is a sentence to be judged by overlap."""
        return self.family == CAPTION


@dataclass(frozen=True)
class Rows:
    """All questions of an evaluation.

    Attributes:
        source: What the user named.
        split: Which split was read, None for a single file.
        rows: The questions, in order.
        fingerprint: Digest of the rows: texts and names of pictures, not their pixels.
        scenes: File with the scenes of a PanoShapes split, if there is one.
    """

    source: str
    split: str | None
    rows: tuple[Row, ...]
    fingerprint: str
    scenes: Path | None = None


def read_rows(source: str, *, split: str = "test", captions: bool = False, limit: int | None = None) -> Rows:
    """Read questions from a PanoShapes folder, a table (CSV, JSONL, Parquet) or a `datasets` id.

    Args:
        source: Folder, file or id.
        split: Split of a folder or data set.
        captions: Whether all rows that name no family are captions.
        limit: Read the first so many rows only.

    Raises:
        TableError: There is no such data, its columns are others, or a row lacks something.
        EvaluationError: An embedded picture is not what it should be.
    """
    examples = read_examples(source, split, limit=limit)
    plain = CAPTION if captions else PLAIN
    rows = tuple(_row(examples, index, plain) for index in range(len(examples)))
    digest = hashlib.sha256()
    for row in rows:
        told = [row.key, row.question, row.answer, row.family, row.scene, row.program]
        digest.update(json.dumps(told).encode() + b"\n")
    path = Path(source)
    scenes = path / f"scenes-{split}.jsonl"
    return Rows(
        source=source,
        split=None if path.is_file() else split,
        rows=rows,
        fingerprint=digest.hexdigest(),
        scenes=scenes if scenes.is_file() else None,
    )


def _row(examples: Examples, index: int, plain: str) -> Row:
    example = examples[index]
    extra = {name: value if isinstance(value, str) else json.dumps(value) for name, value in example.extra.items()}
    return Row(
        index=index,
        place=example.where,
        key=_key(example.image, examples.folder, example.where),
        image=example.image,
        question=example.question,
        answer=example.answer,
        family=extra.get("family") or plain,
        scene=extra.get("scene"),
        program=extra.get("program"),
    )


def _key(image: Any, folder: Path | None, place: str) -> str:
    """What a picture is told by: its path, as the table says it, its URL, or a digest of its bytes."""
    if isinstance(image, Path):
        inside = folder is not None and image.is_relative_to(folder)
        return str(image.relative_to(folder)) if folder is not None and inside else str(image)
    if isinstance(image, str):
        return image
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    raise EvaluationError(f"{place}: the picture is {type(image).__name__}; expected a path, a URL or an encoded file")
