"""Ask all questions of a pass in a fixed order of batches, and keep what was answered."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from panollava_geometry import PanoramaError, rotate_equirectangular
from torch import Tensor

from panollava_hf._errors import EvaluationError
from panollava_hf.asking._prefix import Asker
from panollava_hf.evaluation._normalise import is_match
from panollava_hf.evaluation._predictions import Predictions
from panollava_hf.evaluation._rows import Row

#: Questions whose panoramas are held at once, in batches.
BATCHES_AT_ONCE = 2


@dataclass(frozen=True)
class Item:
    """A question as it is asked in a pass.

    Attributes:
        row: Where it comes from.
        key: Which panorama it is asked about.
        image: That panorama's source.
        question: The question, as asked.
        answer: The expected answer, as asked.
        yaw_deg: How far the panorama is rolled to the right first.
    """

    row: Row
    key: str
    image: Any
    question: str
    answer: str
    yaw_deg: float = 0.0

    def entry(self, prediction: str) -> dict[str, Any]:
        """Its line among the predictions."""
        entry: dict[str, Any] = {"row": self.row.index, "image": self.key, "family": self.row.family}
        if self.yaw_deg:
            entry["yaw_deg"] = self.yaw_deg
        entry |= {"question": self.question, "answer": self.answer, "prediction": prediction}
        return entry | {"correct": None if self.row.is_caption else is_match(prediction, self.answer)}


@dataclass
class Skipped:
    """Panoramas that could not be read.

    Attributes:
        images: Keys and reasons.
        rows: How many questions were about them.
    """

    images: dict[str, str] = field(default_factory=dict)
    rows: int = 0


Chunk = list[list[Item]]  # questions by panorama


def chunks(items: Sequence[Item], batch_size: int) -> Iterator[Chunk]:
    """Questions by panorama, as many panoramas at a time as make a few batches.

    The division depends on nothing but the questions, so a resumed run makes the same batches.
    """
    groups: dict[tuple[str, float], list[Item]] = {}
    for item in items:
        groups.setdefault((item.key, item.yaw_deg), []).append(item)
    chunk: Chunk = []
    for group in groups.values():
        chunk.append(group)
        if sum(map(len, chunk)) >= batch_size * BATCHES_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def ask_all(
    asker: Asker,
    items: Sequence[Item],
    predictions: Predictions,
    *,
    batch_size: int,
    skip_bad: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> Skipped:
    """Answer what is not answered yet.

    Args:
        asker: The model.
        items: The questions.
        predictions: Where answers go, a batch at a time.
        batch_size: Questions answered at once.
        skip_bad: Whether panoramas that cannot be read are left out and counted.
        progress: Called with the number of questions that were just answered.

    Raises:
        EvaluationError: A panorama cannot be read.
    """
    skipped = Skipped()
    waiting = [
        chunk
        for chunk in chunks(items, batch_size)
        if any(_open(batch, predictions) for batch in _batches(chunk, batch_size))
    ]
    with ThreadPoolExecutor(1, thread_name_prefix="panorama") as pool:
        futures: list[Future[list[Tensor | str]]] = [pool.submit(_load, asker, chunk) for chunk in waiting[:1]]
        try:
            for index, chunk in enumerate(waiting):
                loaded = futures.pop(0).result()
                futures += [pool.submit(_load, asker, later) for later in waiting[index + 1 : index + 2]]
                _check(chunk, loaded, skip_bad, skipped)
                _answer(asker, chunk, loaded, predictions, batch_size, progress)
        finally:
            pool.shutdown(cancel_futures=True)
    return skipped


def _batches(chunk: Chunk, batch_size: int) -> list[list[tuple[int, Item]]]:
    """Batches of questions with their panorama's place in the chunk; long answers and long questions apart."""
    pairs = [(place, item) for place, group in enumerate(chunk) for item in group]
    pairs.sort(key=lambda pair: (pair[1].row.is_caption, pair[1].row.family, len(pair[1].question)))
    first_caption = sum(not item.row.is_caption for _, item in pairs)
    return [
        part[start : start + batch_size]
        for part in (pairs[:first_caption], pairs[first_caption:])
        for start in range(0, len(part), batch_size)
    ]


def _open(batch: list[tuple[int, Item]], predictions: Predictions) -> bool:
    return any(item.row.index not in predictions.by_row for _, item in batch)


def _load(asker: Asker, chunk: Chunk) -> list[Tensor | str]:
    """Views of each panorama, or why there are none."""
    found: list[Tensor | str] = []
    fetch = asker.processor.image_processor.fetch_images
    for group in chunk:
        item = group[0]
        try:
            panorama = fetch(item.image)
            if item.yaw_deg:  # turning the camera to the right moves the picture to the left
                panorama = rotate_equirectangular(panorama, yaw_deg=-item.yaw_deg)
            found.append(asker.look([panorama]))
        except (PanoramaError, OSError) as error:
            found.append(str(error).strip())
    return found


def _check(chunk: Chunk, loaded: list[Tensor | str], skip_bad: bool, skipped: Skipped) -> None:
    for group, views in zip(chunk, loaded, strict=True):
        if isinstance(views, str):
            if not skip_bad:
                raise EvaluationError(f"{group[0].row.place}: {views} (--skip-bad leaves such panoramas out)")
            skipped.images[group[0].key] = views
            skipped.rows += len(group)


def _answer(
    asker: Asker,
    chunk: Chunk,
    loaded: list[Tensor | str],
    predictions: Predictions,
    batch_size: int,
    progress: Callable[[int], None],
) -> None:
    views = {place: value for place, value in enumerate(loaded) if not isinstance(value, str)}
    if not views:
        return
    numbers = {place: number for number, place in enumerate(views)}
    questions = [item.question for group in chunk for item in group]
    seen = asker.see(torch.cat(list(views.values())), questions)
    for planned in _batches(chunk, batch_size):
        if not _open(planned, predictions):
            continue
        batch = [(numbers[place], item) for place, item in planned if place in numbers]
        if not batch:
            continue
        answers = asker.answer(seen, [item.question for _, item in batch], [place for place, _ in batch])
        fresh = sum(item.row.index not in predictions.by_row for _, item in batch)
        predictions.append(item.entry(answer) for (_, item), answer in zip(batch, answers, strict=True))
        progress(fresh)
