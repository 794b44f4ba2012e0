"""Ask the questions of each pass in batches, and keep the predictions on disk, to continue a run that was stopped."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from panollava_geometry import PanoramaError, rotate_equirectangular
from panollava_geometry.addresses import untrusted_addresses
from torch import Tensor

from panollava_hf._errors import EvaluationError, boundary, reason
from panollava_hf._files import write_whole
from panollava_hf.asking import Answerer
from panollava_hf.evaluation._questions import Pass, Prediction, Predictions, Question
from panollava_hf.evaluation._results import Options
from panollava_hf.evaluation.metrics._exact_match import is_match
from panollava_hf.outside._json_file import json_text

#: Called with the name of a pass, how many of its questions are answered, and how many it has.
Progress = Callable[[str, int, int], None]
#: Questions grouped by panorama; one chunk of panoramas is in memory at a time, and the next one is being read.
Chunk = list[list[Question]]
#: Views of a panorama, or why it cannot be read.
Views = Tensor | str
#: A chunk holds the panoramas of about this many batches.
BATCHES_PER_CHUNK = 2


class PredictionFile:
    """A JSONL file of predictions, one line each.

    A batch is appended in one write. An incomplete last line is removed when the file is opened again. Lines end with
    a line feed only: U+2028 and its like are part of a text.

    Args:
        path: The file; it does not have to exist.
        questions: The questions as they are asked in this pass.

    Raises:
        EvaluationError: A line is not a prediction for one of the questions.
    """

    def __init__(self, path: Path, questions: Sequence[Question]) -> None:
        self.path = path
        self.by_index: dict[int, Prediction] = {}
        if not path.exists():
            return
        if not path.is_file():
            raise EvaluationError(f"{path} is not a file; expected predictions")
        asked = {question.index: question for question in questions}
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
        for number, line in enumerate(content[:whole].split(b"\n")[:-1], 1):
            where = f"{path}, line {number}"
            remedy = "delete the file to start again"
            with boundary(EvaluationError, f"{where} is not a prediction of this evaluation", remedy):
                entry = json.loads(line.decode("utf-8"))
            question = asked.get(_field(entry, "row", int), None)
            text = _field(entry, "prediction", str)
            if question is None or text is None or _field(entry, "question", str) not in (None, question.question):
                raise EvaluationError(f"{where} is not a prediction of this evaluation; {remedy}")
            self.by_index[question.index] = predicted(question, text)  # `correct` is computed, not read

    def append(self, predictions: Iterable[Prediction]) -> None:
        """Add the predictions of a batch; they replace earlier ones for the same questions."""
        predictions = list(predictions)
        try:
            with self.path.open("ab") as stream:
                stream.write("".join(map(_line, predictions)).encode("utf-8"))
        except OSError as error:
            raise unwritable(self.path.parent, error) from error
        self.by_index.update((prediction.question.index, prediction) for prediction in predictions)

    def finish(self) -> tuple[Prediction, ...]:
        """Sort the file by row, with one line for each prediction, and return the predictions."""
        predictions = tuple(self.by_index[index] for index in sorted(self.by_index))
        try:
            write_whole(self.path, "".join(map(_line, predictions)))
        except OSError as error:
            raise unwritable(self.path.parent, error) from error
        return predictions


def unwritable(folder: Path, error: OSError) -> EvaluationError:
    """The error for a folder of results that the file system does not let us write."""
    return EvaluationError(
        f"{folder} cannot be written ({reason(error)}); make room or choose another folder, and run the same "
        "command again: the predictions in it are kept"
    )


def _field(entry: Any, name: str, kind: type) -> Any:
    """A field of a line, if the line is an object and the field has this type."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if type(value) is kind else None


def predicted(question: Question, text: str) -> Prediction:
    """The prediction for a question, compared with the expected answer."""
    return Prediction(question, text, None if question.is_caption else is_match(text, question.answer))


def _line(prediction: Prediction) -> str:
    question = prediction.question
    entry: dict[str, Any] = {"row": question.index, "image": question.key, "family": question.family}
    if question.yaw_deg:
        entry["yaw_deg"] = question.yaw_deg
    entry |= {"question": question.question, "answer": question.answer}
    entry |= {"prediction": prediction.text, "correct": prediction.correct}
    return json_text(entry)


def predict(
    answerer: Answerer, passes: Sequence[Pass], folder: Path, options: Options, progress: Progress
) -> Predictions:
    """Ask the questions that have no prediction yet.

    Args:
        answerer: The model.
        passes: The passes; the first one asks the questions as the table has them.
        folder: Folder for the files of predictions.
        options: Batch size, length of answers, and whether unreadable panoramas are left out.
        progress: Called at the start of a pass and after each batch.

    Raises:
        EvaluationError: A panorama cannot be read, or a file of predictions is damaged.
    """
    found: dict[str, tuple[Prediction, ...]] = {}
    unreadable: dict[str, dict[str, str]] = {}
    answered_before = 0
    for one in passes:
        file = PredictionFile(folder / one.file, one.questions)
        answered_before += len(file.by_index)
        progress(one.name, len(file.by_index), len(one.questions))
        unreadable[one.name] = {}
        for chunk, views in _read_ahead(
            answerer, _open_chunks(one.questions, file.by_index, options.batch_size), options.private_redirects
        ):
            bad = {group[0].key: reason for group, reason in zip(chunk, views, strict=True) if isinstance(reason, str)}
            if bad and not options.skip_bad:
                group = next(group for group in chunk if group[0].key in bad)
                message = f"{group[0].place}: {bad[group[0].key]} (--skip-bad leaves out such panoramas)"
                raise EvaluationError(message)
            unreadable[one.name] |= bad
            for batch in _answer(answerer, chunk, views, file.by_index, options):
                file.append(batch)
                progress(one.name, len(file.by_index), len(one.questions))
        found[one.name] = file.finish()
    plain, *probes = (one.name for one in passes)
    return Predictions(
        plain=found[plain],
        probes={name: found[name] for name in probes},
        unreadable=unreadable[plain],
        left_out=sum(question.key in unreadable[plain] for question in passes[0].questions),
        answered_before=answered_before,
    )


def chunks(questions: Iterable[Question], batch_size: int) -> Iterator[Chunk]:
    """Questions grouped by panorama, with as many panoramas at a time as fill a few batches.

    The chunks depend only on the questions, so a continued run has the same batches.
    """
    groups: dict[tuple[str, float], list[Question]] = {}
    for question in questions:
        groups.setdefault((question.key, question.yaw_deg), []).append(question)
    chunk: Chunk = []
    for group in groups.values():
        chunk.append(group)
        if sum(map(len, chunk)) >= batch_size * BATCHES_PER_CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _open_chunks(questions: Iterable[Question], answered: Mapping[int, Prediction], batch_size: int) -> list[Chunk]:
    """The chunks in which a question has no prediction yet."""
    return [
        chunk
        for chunk in chunks(questions, batch_size)
        if any(question.index not in answered for group in chunk for question in group)
    ]


def _read_ahead(
    answerer: Answerer, waiting: Sequence[Chunk], private_redirects: bool
) -> Iterator[tuple[Chunk, list[Views]]]:
    """Each chunk with the views of its panoramas; the next chunk is read while the model answers."""
    with ThreadPoolExecutor(1, thread_name_prefix="panorama") as pool:
        following = [pool.submit(_read, answerer, chunk, private_redirects) for chunk in waiting[:1]]
        try:
            for index, chunk in enumerate(waiting):
                views = following.pop().result()
                following = [
                    pool.submit(_read, answerer, later, private_redirects) for later in waiting[index + 1 : index + 2]
                ]
                yield chunk, views
        finally:
            pool.shutdown(cancel_futures=True)


def _read(answerer: Answerer, chunk: Chunk, private_redirects: bool = False) -> list[Views]:
    found: list[Views] = []
    for question, *_ in chunk:
        try:
            with nullcontext() if private_redirects else untrusted_addresses("--private-redirects"):
                panorama = answerer.processor.image_processor.fetch_images(question.image)
            if question.yaw_deg:  # turning the camera to the right moves the content to the left
                panorama = rotate_equirectangular(panorama, yaw_deg=-question.yaw_deg)
            found.append(answerer.views(panorama))
        except (PanoramaError, OSError, ValueError) as error:
            found.append(str(error).strip())
    return found


def _answer(
    answerer: Answerer, chunk: Chunk, views: Sequence[Views], answered: Mapping[int, Prediction], options: Options
) -> Iterator[list[Prediction]]:
    """Predictions for the readable panoramas of a chunk, one batch at a time; finished batches are left out."""
    readable = {place: value for place, value in enumerate(views) if not isinstance(value, str)}
    numbers = {place: number for number, place in enumerate(readable)}
    asked: list[tuple[int, Question]] = []
    batches: list[range] = []
    for batch in _batches(chunk, options.batch_size):
        start = len(asked)
        asked += [(numbers[place], question) for place, question in batch if place in numbers]
        if any(question.index not in answered for _, question in asked[start:]):
            batches.append(range(start, len(asked)))
    if not batches:
        return
    answers = answerer.answer_all(
        torch.cat(list(readable.values())),
        [question.question for _, question in asked],
        [number for number, _ in asked],
        batches=batches,
        max_new_tokens=options.max_new_tokens,
    )
    for indices, texts in zip(batches, answers, strict=True):
        yield [predicted(asked[index][1], text) for index, text in zip(indices, texts, strict=True)]


def _batches(chunk: Chunk, batch_size: int) -> Iterator[list[tuple[int, Question]]]:
    """Batches of (position of the panorama in the chunk, question).

    Captions have their own batches, because their answers are longer; questions of similar length are together.
    """
    pairs = [(place, question) for place, group in enumerate(chunk) for question in group]
    pairs.sort(key=lambda pair: (pair[1].family, len(pair[1].question)))
    for captions in (False, True):
        part = [pair for pair in pairs if pair[1].is_caption == captions]
        yield from (part[start : start + batch_size] for start in range(0, len(part), batch_size))
