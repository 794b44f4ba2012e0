"""The files of a PanoShapes dataset: their names, the dataset card, and reading scenes and answers.

`images/<scene>.jpg`; `<split>.jsonl` with one row per question; `scenes-<split>.jsonl` with one scene per line;
`README.md`, the dataset card, whose header lists the splits for `datasets.load_dataset`.
"""

import json
import multiprocessing
import os
import pickle
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from panollava_hf._child_processes import end_with_parent
from panollava_hf._errors import PanoShapesError, boundary
from panollava_hf._files import staged_folder
from panollava_hf.panoshapes._questions import questions
from panollava_hf.panoshapes._render import check_width, render_scene
from panollava_hf.panoshapes._reworded import in_many_wordings
from panollava_hf.panoshapes._sampling import MAX_OBJECTS, check_max_objects, sample_scene, scene_seed
from panollava_hf.panoshapes._scene import SPLITS, Scene
from panollava_hf.panoshapes.families import Family, family_named, family_names, register_family

_Parsed = TypeVar("_Parsed")

_TITLE = "# PanoShapes"
_BODY = """
Rendered 360° panoramas (equirectangular; yaw 0 is the centre column, positive to the right) of one to six solids, and
questions about them with exact answers. Written by `panollava data panoshapes`.

`<split>.jsonl` has one row per question: `image` (path in this folder), `question`, `answer`, `family`, `scene`,
`objects` (number of objects), `difficulty` and `aside` (for curricula), `program` (the question as JSON).
`scenes-<split>.jsonl` has the objects, sky and ground of each image.

## Intended use and limits

To measure whether a model knows where things are in a panorama, and to train small models and try recipes. The images
show solids of six colours and five shapes on an empty ground, so a score says nothing about photographs. A guess is
often right: compare with the share of the most common answer of each family, which `panollava data panoshapes`
prints.

## How it was made

Scenes are drawn from a seed and rendered; programs compute the answers from the scene, so nobody annotated anything,
and no person, place or photograph is shown. The same seed gives the same files. No scene is in two splits.

## Citation

```bibtex
@misc{panoshapes,
  title = {PanoShapes: questions about rendered 360° panoramas},
  author = {{The PanoLLaVA contributors}},
  year = {2026},
  note = {written by panollava data panoshapes},
}
```
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
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            with boundary(PanoShapesError, f"{path}, line {number} is not a scene", "write the dataset again"):
                try:
                    parsed = parse(line.decode("utf-8"))
                except PanoShapesError as error:
                    raise PanoShapesError(f"{path}, line {number} is not a scene: {error}") from error
            yield parsed


def write_card(path: Path, splits: list[str]) -> None:
    """Write a dataset card that lists these splits."""
    files = "".join(f"  - split: {split}\n    path: {split}.jsonl\n" for split in splits)
    header = (
        "---\npretty_name: PanoShapes\nlanguage: en\nlicense: mit\ntask_categories:\n- visual-question-answering\n"
        "tags:\n- panorama\n- '360'\n- synthetic\n"
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


#: Options with which Pillow writes each format.
_FORMATS: dict[str, dict[str, Any]] = {"jpg": {"quality": 92, "subsampling": 0}, "png": {"compress_level": 6}}
_QUESTION_PURPOSE, _WORDING_PURPOSE = 1, 2
#: How questions are worded: as in `Family.wordings`, or in many ways, see `panollava_hf.panoshapes.wordings`.
PLAIN, MANY = WORDINGS = ("plain", "many")
_CHUNK = 16  # scenes per job of a worker process


def write_panoshapes(
    output: str | os.PathLike[str],
    split: str,
    count: int,
    seed: int = 0,
    width: int = 1024,
    image_format: str = "jpg",
    workers: int | None = None,
    questions_per_family: int = 2,
    progress: Callable[[int], None] | None = None,
    wordings: str = PLAIN,
    max_objects: int = MAX_OBJECTS,
) -> Path:
    """Write one split of PanoShapes, readable by `datasets.load_dataset(output)`.

    Args:
        output: The folder. It may already contain other splits of PanoShapes.
        split: One of `train`, `validation`, `test`.
        count: Number of scenes.
        seed: Seed of the dataset.
        width: Width of the images in pixels, a multiple of 4.
        image_format: `jpg` or `png`.
        workers: Number of processes; None for one per core. The files do not depend on it.
        questions_per_family: Maximum number of questions of one family about one scene.
        progress: Called with the number of scenes that are finished.
        wordings: `plain`, or `many` for questions as people type them, in English and Korean, for training.
        max_objects: Largest number of objects in a scene, up to 8.

    Returns:
        The folder.

    Raises:
        PanoShapesError: An argument is out of range, or the folder contains this split or other files.
        OSError: The folder cannot be written.
    """
    folder = Path(output)
    scenes = _Scenes(split, seed, width, image_format, questions_per_family, wordings, max_objects)
    scenes.check()
    if count < 1:
        raise PanoShapesError(f"{count} scenes: expected at least 1")
    if workers is not None and workers < 1:
        raise PanoShapesError(f"{workers} workers: expected at least 1")
    _check_folder(folder, split)
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    workers = min(workers or os.cpu_count() or 1, len(chunks))
    with _staged_split(folder, split) as staged:
        (staged / "images").mkdir()
        done = 0
        with (
            scenes_file(staged, split).open("w", encoding="utf-8", newline="\n") as scene_lines,
            table_file(staged, split).open("w", encoding="utf-8", newline="\n") as lines,
        ):
            for written, rows in _run(scenes, staged / "images", chunks, workers):
                scene_lines.writelines(f"{json.dumps(scene)}\n" for scene in written)
                lines.writelines(f"{json.dumps(row)}\n" for row in rows)
                done += len(written)
                if progress is not None:
                    progress(done)
    return folder


#: Scenes and rows of the tables, as they are written.
_Written = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@dataclass(frozen=True)
class _Scenes:
    """What decides the contents of a split."""

    split: str
    seed: int
    width: int
    image_format: str
    questions_per_family: int
    wordings: str
    max_objects: int

    def check(self) -> None:
        check_max_objects(self.max_objects)
        if self.wordings not in WORDINGS:
            raise PanoShapesError(f"unknown wordings {self.wordings!r}: expected one of {', '.join(WORDINGS)}")
        scene_seed(self.seed, self.split, 0)
        check_width(self.width)
        if self.questions_per_family < 1:
            raise PanoShapesError(f"{self.questions_per_family} questions per family: expected at least 1")
        if self.image_format not in _FORMATS:
            raise PanoShapesError(f"unknown image format {self.image_format!r}: expected one of {', '.join(_FORMATS)}")

    def write(self, images: Path, indices: range) -> _Written:
        """Draw scenes into a folder; return the scenes and the rows of their questions."""
        from PIL import Image

        scenes: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for index in indices:
            scene = sample_scene(self.seed, self.split, index, self.max_objects)
            image = f"{scene.name}.{self.image_format}"
            Image.fromarray(render_scene(scene, self.width)).save(images / image, **_FORMATS[self.image_format])
            scenes.append(scene.to_dict())
            rng = np.random.default_rng(scene_seed(self.seed, self.split, index, _QUESTION_PURPOSE))
            asked_questions = questions(scene, rng, self.questions_per_family)
            if self.wordings == MANY:
                seed = scene_seed(self.seed, self.split, index, _WORDING_PURPOSE)
                asked_questions = in_many_wordings(asked_questions, scene, np.random.default_rng(seed))
            for asked in asked_questions:
                family = family_named(asked.family)
                rows.append(
                    {
                        "image": f"images/{image}",
                        "question": asked.question,
                        "answer": asked.answer,
                        "family": asked.family,
                        "scene": scene.name,
                        "objects": len(scene.objects),
                        "difficulty": family.difficulty(scene, asked.program),
                        "aside": family.aside_deg(scene, asked.program),
                        "program": json.dumps(asked.program, sort_keys=True),
                        **({} if self.wordings == PLAIN else {"wordings": self.wordings}),
                    }
                )
        return scenes, rows


def _check_folder(folder: Path, split: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise PanoShapesError(f"{folder} is a file; choose a folder")
    if _is_new(folder):
        return
    if not is_card(folder / "README.md"):
        raise PanoShapesError(f"{folder} contains files that are not a PanoShapes dataset; choose a new folder")
    if table_file(folder, split).exists():
        raise PanoShapesError(f"{folder} already contains the split {split}; choose a new folder or remove the split")


def _is_new(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


@contextmanager
def _staged_split(folder: Path, split: str) -> Iterator[Path]:
    """A temporary folder for the files of a split, which appear in `folder` when the block ends without an error."""
    if _is_new(folder):
        with staged_folder(folder, durable=False) as staged:
            yield staged
            write_card(staged / "README.md", [split])
        return
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        staged = Path(scratch)
        yield staged
        splits = {*read_splits(folder / "README.md"), split}
        write_card(staged / "README.md", [name for name in SPLITS if name in splits])
        (folder / "images").mkdir(exist_ok=True)
        # The table is moved after everything that it names, the card last.
        for path in (*sorted(staged.glob("images/*")), scenes_file(staged, split), table_file(staged, split)):
            os.replace(path, folder / path.relative_to(staged))
        os.replace(staged / "README.md", folder / "README.md")


def _run(scenes: _Scenes, images: Path, chunks: list[range], workers: int) -> Iterator[_Written]:
    """Write the chunks in parallel; the results come in the order of the chunks."""
    if workers == 1:
        yield from (scenes.write(images, chunk) for chunk in chunks)
        return
    # New processes: forked ones would copy the locks of the caller's threads. They do not know the families that the
    # caller registered.
    added = [family_named(name) for name in family_names()]
    remedy = "define its functions at the top level of a module, or use workers=1"
    with boundary(PanoShapesError, "a registered family cannot be sent to worker processes", remedy):
        pickle.dumps(added)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(added,)) as pool:
        pending: list[Future[_Written]] = [pool.submit(scenes.write, images, chunk) for chunk in chunks]
        try:
            for future in pending:
                yield future.result()
        except BrokenProcessPool as error:
            raise PanoShapesError(
                "a worker process ended unexpectedly; if you registered families, their modules must be importable in "
                "a new process; workers=1 uses no other process"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(families: list[Family]) -> None:
    end_with_parent()
    for family in families:
        if family.name not in family_names():
            register_family(family)
