"""A data set of PanoShapes on disk: pictures, questions, scenes and a card, whole or not at all."""

import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._ask import questions
from panollava_hf.panoshapes._card import is_card, read_splits, write_card
from panollava_hf.panoshapes._programs import aside, difficulty
from panollava_hf.panoshapes._render import check_width, render_scene
from panollava_hf.panoshapes._sample import sample_scene, scene_seed
from panollava_hf.panoshapes._vocabulary import SPLITS

FORMATS = ("jpg", "png")
QUESTION_PURPOSE = 1
_CHUNK = 16

Row = dict[str, str | int | float]


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
) -> Path:
    """Write one split of PanoShapes, readable by `datasets.load_dataset(output)`.

    Args:
        output: Folder; it may hold other splits of PanoShapes already.
        split: One of `train`, `validation`, `test`.
        count: Number of scenes.
        seed: Of the data set.
        width: Of the pictures, a multiple of 4.
        image_format: `jpg` or `png`.
        workers: Processes; None for one per core. What is written does not depend on it.
        questions_per_family: Most questions of one family about one scene.
        progress: Called with the number of scenes done so far.

    Returns:
        The folder.

    Raises:
        PanoShapesError: An argument is out of range, or the folder holds this split, or something else.
        OSError: The folder cannot be written.
    """
    folder = Path(output)
    _check(folder, split, count, seed, width, image_format, workers, questions_per_family)
    workers = min(workers or os.cpu_count() or 1, -(-count // _CHUNK))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        staged = Path(scratch) / "data"
        (staged / "images").mkdir(parents=True)
        jobs = [
            (staged, split, range(start, min(start + _CHUNK, count)), seed, width, image_format, questions_per_family)
            for start in range(0, count, _CHUNK)
        ]
        done = 0
        scenes, table = staged / f"scenes-{split}.jsonl", staged / f"{split}.jsonl"
        with (
            scenes.open("w", encoding="utf-8", newline="\n") as scene_lines,
            table.open("w", encoding="utf-8", newline="\n") as lines,
        ):
            for written, rows in _run(jobs, workers):
                scene_lines.writelines(f"{json.dumps(scene)}\n" for scene in written)
                lines.writelines(f"{json.dumps(row)}\n" for row in rows)
                done += len(written)
                if progress is not None:
                    progress(done)
        _publish(staged, folder, split)
    return folder


def _check(
    folder: Path,
    split: str,
    count: int,
    seed: int,
    width: int,
    image_format: str,
    workers: int | None,
    questions_per_family: int,
) -> None:
    scene_seed(seed, split, 0)
    check_width(width)
    if count < 1:
        raise PanoShapesError(f"{count} scenes: expected at least 1")
    if workers is not None and workers < 1:
        raise PanoShapesError(f"{workers} workers: expected at least 1")
    if questions_per_family < 1:
        raise PanoShapesError(f"{questions_per_family} questions per family: expected at least 1")
    if image_format not in FORMATS:
        raise PanoShapesError(f"unknown image format {image_format!r}: expected one of {', '.join(FORMATS)}")
    if folder.exists() and not folder.is_dir():
        raise PanoShapesError(f"{folder} is a file: name a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not is_card(folder / "README.md"):
        raise PanoShapesError(f"{folder} holds something other than PanoShapes: name a new folder")
    if (folder / f"{split}.jsonl").exists():
        raise PanoShapesError(f"{folder} holds the split {split} already: name a new folder, or remove it first")


def _run(jobs: list[tuple[Any, ...]], workers: int) -> Iterator[tuple[list[dict[str, Any]], list[Row]]]:
    """The results of the jobs, in their order."""
    if workers == 1:
        yield from (write_scenes(*job) for job in jobs)
        return
    # Fresh processes: a fork would copy the locks of whatever threads the caller runs.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending: list[Future[tuple[list[dict[str, Any]], list[Row]]]] = [
            pool.submit(write_scenes, *job) for job in jobs
        ]
        try:
            for future in pending:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def write_scenes(
    folder: Path, split: str, indices: range, seed: int, width: int, image_format: str, questions_per_family: int
) -> tuple[list[dict[str, Any]], list[Row]]:
    """Draw some scenes into `folder/images`, and return the scenes and the rows of their questions."""
    from PIL import Image

    scenes: list[dict[str, Any]] = []
    rows: list[Row] = []
    options: dict[str, Any] = {"quality": 92, "subsampling": 0} if image_format == "jpg" else {"compress_level": 6}
    for index in indices:
        scene = sample_scene(seed, split, index)
        image = f"images/{scene.name}.{image_format}"
        Image.fromarray(render_scene(scene, width)).save(folder / image, **options)
        scenes.append(scene.to_dict())
        rng = np.random.default_rng(scene_seed(seed, split, index, QUESTION_PURPOSE))
        rows.extend(
            {
                "image": image,
                "question": asked.question,
                "answer": asked.answer,
                "family": asked.family,
                "scene": scene.name,
                "objects": len(scene.objects),
                "difficulty": difficulty(scene, asked.program),
                "aside": aside(scene, asked.program),
                "program": json.dumps(asked.program, sort_keys=True),
            }
            for asked in questions(scene, rng, questions_per_family)
        )
    return scenes, rows


def _publish(staged: Path, folder: Path, split: str) -> None:
    """Move what is finished to its place; the split's table comes last, so that a table never lacks its pictures."""
    if not folder.exists() or not any(folder.iterdir()):
        write_card(staged / "README.md", [split])
        if folder.exists():
            folder.rmdir()
        os.replace(staged, folder)
        return
    (folder / "images").mkdir(exist_ok=True)
    for image in sorted((staged / "images").iterdir()):
        os.replace(image, folder / "images" / image.name)
    os.replace(staged / f"scenes-{split}.jsonl", folder / f"scenes-{split}.jsonl")
    splits = {*read_splits(folder / "README.md"), split}
    write_card(staged / "README.md", [name for name in SPLITS if name in splits])
    os.replace(staged / f"{split}.jsonl", folder / f"{split}.jsonl")
    os.replace(staged / "README.md", folder / "README.md")
