"""The records of an evaluation: questions, the passes in which they are asked, and predictions; reading questions."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any, overload

from panollava_geometry.addresses import is_address, source_name

from panollava_hf._errors import EvaluationError, PanoShapesError, TableError
from panollava_hf._shown import shown
from panollava_hf.data._examples import Example, read_examples
from panollava_hf.data._options import split_lettered
from panollava_hf.data._row_checks import Unusable
from panollava_hf.evaluation._choices import Readings, check_options, expected_options, is_letter, lettered, readings
from panollava_hf.panoshapes import Question as ShapesQuestion
from panollava_hf.panoshapes import Scene, read_scenes

#: The family of questions whose answers are sentences; they are scored as captions, not by exact match.
CAPTION = "caption"
#: The family of questions without one.
DEFAULT_FAMILY = "question"


@dataclass(frozen=True)
class Question:
    """One question about one panorama.

    Attributes:
        index: Its row in the table, from 0.
        place: File and row, for messages.
        key: Identifies the panorama in files: questions with the same key share an image. A URL has no user name,
            password and query there; if it had one, part of a digest follows.
        image: The image, as `load_equirectangular` reads it.
        question: The question.
        answer: The expected answer; of a multiple-choice question, the letter of the right option.
        family: Kind of question.
        scene: The PanoShapes scene, if the data has scenes.
        program: What is asked, in a form for programs, if the data has scenes.
        yaw_deg: How far the panorama is rotated to the right before the question is asked.
        options: The options of a multiple-choice question; else empty.
        other_answers: Further correct answers: those of other rows with the same question about the same panorama.
    """

    index: int
    place: str
    key: str
    image: Any
    question: str
    answer: str
    family: str
    scene: Scene | None = None
    program: Mapping[str, Any] | None = None
    yaw_deg: float = 0.0
    options: tuple[str, ...] = ()
    other_answers: tuple[str, ...] = ()

    @property
    def references(self) -> tuple[str, ...]:
        """All correct answers."""
        return (self.answer, *self.other_answers)

    @property
    def prompt(self) -> str:
        """What is sent to the model: the question, and its options if it has some."""
        return lettered(self.question, self.options) if self.options else self.question

    @property
    def is_caption(self) -> bool:
        """Whether the expected answer is a sentence, scored by caption scores instead of exact match."""
        return self.family == CAPTION and not self.options


@dataclass(frozen=True)
class Questions:
    """All questions of an evaluation.

    Attributes:
        source: The folder, file or dataset id.
        split: The split that was read; None for a single file.
        rows: The questions, in the order of the table.
        fingerprint: Digest of the texts and image names; pixels are not part of it.
        scenes: The file with the scenes of a PanoShapes split, if there is one.
        unusable: Rows of the table that are left out because they cannot be used.
        reading: The options with which the questions were read.
    """

    source: str
    split: str | None
    rows: tuple[Question, ...]
    fingerprint: str
    scenes: Path | None = None
    unusable: Unusable = field(default_factory=Unusable)
    reading: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Question]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Prediction:
    """What the model answered to one question.

    Attributes:
        question: The question as it was asked.
        text: The model's answer; empty if the model failed, or reported that it does not know something.
        correct: Whether it equals the expected answer after normalisation, or names the right option; None for captions
            and if the model failed.
        error: Why the model did not answer; empty if it did.
        unknown: What the model reported that it does not know, a word or this kind of image; then there is no answer,
            which counts as wrong. Empty if nothing.
    """

    question: Question
    text: str
    correct: bool | None
    error: str = ""
    unknown: str = ""


@dataclass(frozen=True)
class Predictions(Sequence[Prediction]):
    """The predictions of an evaluation. As a sequence: those for the questions as the table has them, in its order.

    Attributes:
        plain: The same predictions as a tuple.
        probes: The predictions of each probe, by the name of its pass.
        unreadable: Panoramas of the plain pass that could not be read, with the reason.
        left_out: Number of questions about these panoramas.
        answered_before: Number of predictions, over all passes, that an earlier run had written.
        errors: The questions that the model failed to answer, by the name of the pass; they are in no other field.
    """

    plain: tuple[Prediction, ...]
    probes: Mapping[str, tuple[Prediction, ...]] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    left_out: int = 0
    answered_before: int = 0
    errors: Mapping[str, tuple[Prediction, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.plain)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Prediction]: ...
    def __getitem__(self, index: int | slice) -> Prediction | Sequence[Prediction]:
        return self.plain[index]


@dataclass(frozen=True)
class Pass:
    """One round of questions: those of the table, or those of a probe.

    Attributes:
        name: Its name in progress bars and, for a probe, in `results.json` and `Predictions.probes`.
        file: Name of the file of its predictions.
        questions: The questions as they are asked.
        metric: For a probe: its metric, called like those in `METRICS`.
    """

    name: str
    file: str
    questions: tuple[Question, ...]
    metric: Callable[[Questions, Predictions], Any] | None = None


def read_questions(
    source: str | Path,
    *,
    split: str = "test",
    columns: Mapping[str, str] | None = None,
    captions: bool = False,
    limit: int | None = None,
    skip_bad: bool = False,
) -> Questions:
    """Read questions from a PanoShapes folder, a table (CSV, JSONL, Parquet) or a `datasets` id.

    Args:
        source: Folder, file or dataset id.
        split: Split of a folder or dataset.
        columns: Names of the columns `image`, `question` and `answer` if they differ from the usual ones.
        captions: Whether rows without a family are captions.
        limit: Read at most this many rows.
        skip_bad: Leave out rows that cannot be used, and count them in `unusable`, instead of raising an error.

    Raises:
        TableError: The data does not exist, has unexpected columns, or has rows that cannot be used.
        PanoShapesError: The file of scenes is damaged.
        EvaluationError: An embedded image has an unexpected type, or a row's scene or program cannot be read.
    """
    examples = read_examples(source, split, columns, limit, skip_bad=skip_bad)
    scene_file = Path(source) / f"scenes-{split}.jsonl"
    scenes = read_scenes(scene_file) if scene_file.is_file() else None
    rows: list[Question] = []
    digest = hashlib.sha256()
    multiple = _Multiple()
    for index in range(len(examples)):
        try:
            example = examples[index]
            stem, options = multiple.read(len(rows), example, examples.options(index))
        except TableError as error:
            if not skip_bad:
                raise
            examples.unusable.add(str(error))
            continue
        extra = {name: value if isinstance(value, str) else json.dumps(value) for name, value in example.extra.items()}
        name, program = extra.get("scene"), extra.get("program")
        family = extra.get("family") or (CAPTION if captions else DEFAULT_FAMILY)
        key = _key(example.image, examples.folder, example.where)
        identity = [key, example.question, example.answer, family, name, program, *([options] if options else [])]
        digest.update(json.dumps(identity).encode() + b"\n")
        asked = Question(
            examples.row(index),
            example.where,
            _public(key),
            example.image,
            stem,
            example.answer,
            family,
            options=options,
        )
        if scenes is not None and name is not None and program is not None:
            try:
                shapes = ShapesQuestion.parse(asked.question, asked.answer, program)
                asked = replace(asked, scene=scenes[name], program=shapes.program)
            except KeyError as error:
                raise EvaluationError(f"{asked.place}: the scene {name!r} is not in {scene_file}") from error
            except PanoShapesError as error:
                raise EvaluationError(f"{asked.place}: {error}") from error
        rows.append(asked)
    rows = _with_references(multiple.decide(rows, examples.unusable, skip_bad=skip_bad))
    return Questions(
        source=str(source),
        split=None if Path(source).is_file() else split,
        rows=tuple(rows),
        fingerprint=digest.hexdigest(),
        scenes=None if scenes is None else scene_file,
        unusable=examples.unusable,
        reading={"limit": limit, "captions": captions, "columns": dict(columns or {}), "skip_bad": skip_bad},
    )


def _with_references(rows: list[Question]) -> list[Question]:
    """The rows, each with the answers of the other rows that ask the same about the same panorama."""
    answers: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if not row.options:
            answers.setdefault((row.key, row.question), {})[row.answer] = None
    if all(len(found) == 1 for found in answers.values()):
        return rows

    def others(row: Question) -> tuple[str, ...]:
        found = {} if row.options else answers[row.key, row.question]
        return tuple(answer for answer in found if answer != row.answer)

    return [replace(row, other_answers=others(row)) for row in rows]


class _Multiple:
    """The multiple-choice questions of a table, whose expected answers are read when all rows are known."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Readings, int]] = {}

    def read(self, place: int, example: Example, options: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The question of a row without its options, and the options; none for a question with a free answer.

        Args:
            place: Number of the row among those that can be used.
            example: The row.
            options: Its options, if they have their own columns.

        Raises:
            TableError: The options cannot be used.
        """
        stem = example.question
        if not options and is_letter(example.answer):
            stem, options = split_lettered(example.question)
        if options:
            try:
                check_options(options)
            except TableError as error:
                raise TableError(f"{example.where}: {error}") from error
            self._found[place] = readings(example.answer, options), len(options)
        return stem, options

    def decide(self, rows: list[Question], unusable: Unusable, *, skip_bad: bool) -> list[Question]:
        """The rows with the letters of the right options as answers.

        Raises:
            TableError: An answer is not one of its options.
        """
        chosen = dict(zip(self._found, expected_options(list(self._found.values())), strict=True))
        kept = []
        for place, row in enumerate(rows):
            option = chosen.get(place)
            if isinstance(option, TableError):
                message = f"{row.place}: {option}, got {shown(row.answer)}"
                if not skip_bad:
                    raise TableError(f"{message} (--skip-bad leaves out such rows)")
                unusable.add(message)
            else:
                kept.append(row if option is None else replace(row, answer=ascii_uppercase[option]))
        return kept


def _public(key: str) -> str:
    """The key of an image without what may be secret in a URL."""
    public = source_name(key, shorten=False) if is_address(key) else key
    return key if public == key else f"{public}#{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _key(image: Any, folder: Path | None, place: str) -> str:
    """What identifies an image: its path as the table gives it, its URL, or a digest of its bytes."""
    if isinstance(image, Path):
        inside = folder is not None and image.is_relative_to(folder)
        return str(image.relative_to(folder)) if folder is not None and inside else str(image)
    if isinstance(image, str):
        return image
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    raise EvaluationError(
        f"{place}: the image is a {type(image).__name__}; expected a path, a URL or the bytes of an image file"
    )
