"""The files of a PanoShapes dataset: their names, the dataset card, and reading scenes and answers.

`images/<scene>.jpg`; `<split>.jsonl` with one row per question; `scenes-<split>.jsonl` with one scene per line;
`README.md`, the dataset card, whose header lists the splits for `datasets.load_dataset`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._scene import Scene
from panollava_hf.panoshapes._vocabulary import SPLITS
from panollava_hf.panoshapes.families import family_names

_Parsed = TypeVar("_Parsed")

_TITLE = "# PanoShapes"
_BODY = """
Rendered 360° panoramas (equirectangular; yaw 0 is the centre column, positive to the right) of one to six solids, and
questions about them with exact answers. Written by `panollava data panoshapes`.

`<split>.jsonl` has one row per question: `image` (path in this folder), `question`, `answer`, `family`, `scene`,
`objects` (number of objects), `difficulty` and `aside` (for curricula), `program` (the question as JSON).
`scenes-<split>.jsonl` has the objects, sky and ground of each image.
"""


def table_file(folder: Path, split: str) -> Path:
    """The questions of a split."""
    return folder / f"{split}.jsonl"


def scenes_file(folder: Path, split: str) -> Path:
    """The scenes of a split."""
    return folder / f"scenes-{split}.jsonl"


def read_scenes(path: Path) -> dict[str, Scene]:
    """Read the scenes of a split.

    Args:
        path: A file `scenes-<split>.jsonl`.

    Returns:
        The scenes by name.

    Raises:
        PanoShapesError: A line is not a scene.
        OSError: The file cannot be read.
    """
    scenes = _parse_lines(path, lambda line: Scene.from_dict(json.loads(line)))
    return {scene.name: scene for scene in scenes}


def read_scene_texts(path: Path) -> dict[str, str]:
    """Read the scenes of a split as JSON texts by name, without parsing more than the names."""
    return dict(_parse_lines(path, lambda line: (str(json.loads(line)["name"]), line)))


def _parse_lines(path: Path, parse: Callable[[str], _Parsed]) -> Iterator[_Parsed]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield parse(line)
            except (ValueError, KeyError, TypeError) as error:
                raise PanoShapesError(f"{path}, line {number} is not a scene: {error}") from error


def write_card(path: Path, splits: list[str]) -> None:
    """Write a dataset card that lists these splits."""
    files = "".join(f"  - split: {split}\n    path: {split}.jsonl\n" for split in splits)
    header = (
        "---\npretty_name: PanoShapes\nlanguage: en\nlicense: mit\ntask_categories:\n- visual-question-answering\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}---\n"
    )
    path.write_text(f"{header}\n{_TITLE}\n{_BODY}", encoding="utf-8")


def is_card(path: Path) -> bool:
    """Whether a file is the card of a PanoShapes dataset."""
    return path.is_file() and f"\n{_TITLE}\n" in path.read_text(encoding="utf-8", errors="replace")


def read_splits(path: Path) -> list[str]:
    """The splits that a card lists."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [split for split in SPLITS if f"  - split: {split}" in lines]


@dataclass(frozen=True)
class FamilySummary:
    """The answers to the questions of one family in one split.

    Attributes:
        family: Name of the family.
        questions: Number of questions.
        answers: Number of different answers.
        commonest: The most common answer.
        prior: Its share, which is the score of a model that always gives this answer.
    """

    family: str
    questions: int
    answers: int
    commonest: str
    prior: float


def summarise(table: Path) -> list[FamilySummary]:
    """Count the answers in a table that `write_panoshapes` wrote, family by family."""
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter, {name: Counter() for name in family_names()})
    with table.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            answers[row["family"]][row["answer"]] += 1
    summaries = []
    for family, counts in answers.items():
        if total := counts.total():
            commonest, most = counts.most_common(1)[0]
            summaries.append(FamilySummary(family, total, len(counts), commonest, most / total))
    return summaries
