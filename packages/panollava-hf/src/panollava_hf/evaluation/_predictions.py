"""Ask the questions of each pass in batches, and keep the predictions on disk, to continue a run that was stopped."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from panollava_hf._errors import ChatError, EvaluationError, boundary, one_line, reason
from panollava_hf._files import write_whole
from panollava_hf._shown import shortened
from panollava_hf._text_scores import is_match
from panollava_hf.asking import Answerer
from panollava_hf.asking._chat import Reply, Request
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking._unknown import unknown_reason
from panollava_hf.asking.strategies import native_messages
from panollava_hf.evaluation._panoramas import Chunk, read_ahead
from panollava_hf.evaluation._questions import Pass, Prediction, Predictions, Question
from panollava_hf.evaluation._results import Options
from panollava_hf.evaluation.metrics._choices import chosen
from panollava_hf.outside._json_file import json_text

#: Called with the name of a pass, how many of its questions are answered, and how many it has.
Progress = Callable[[str, int, int], None]
#: A chunk holds the panoramas of about this many batches.
BATCHES_PER_CHUNK = 2
#: Questions that a PanoLLaVA checkpoint answers together.
BATCH_SIZE = 64
#: So many questions that fail one after another, before the first answer or later, end a run.
FAILURES_AT_FIRST, FAILURES_IN_A_ROW = 8, 24


class PredictionFile:
    """A JSONL file of predictions, one line each.

    A batch is appended in one write. An incomplete last line is removed when the file is opened again. Lines end with
    a line feed only: U+2028 and its like are part of a text. Questions that the model failed to answer are lines with
    an `error`; they are asked again when the file is opened again.

    Args:
        path: The file; it does not have to exist.
        questions: The questions as they are asked in this pass.

    Raises:
        EvaluationError: A line is not a prediction for one of the questions.
    """

    def __init__(self, path: Path, questions: Sequence[Question]) -> None:
        self.path = path
        self.by_index: dict[int, Prediction] = {}
        self.failed: dict[int, Prediction] = {}
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
            if question is not None and _field(entry, "error", str) and text is None:
                continue
            unknown = _field(entry, "unknown", str) or ""
            text = "" if unknown else text
            if question is None or text is None or _field(entry, "question", str) not in (None, question.question):
                raise EvaluationError(f"{where} is not a prediction of this evaluation; {remedy}")
            self.by_index[question.index] = predicted(question, text, unknown)  # `correct` is computed, not read

    def append(self, predictions: Iterable[Prediction]) -> None:
        """Add the predictions of a batch; they replace earlier ones for the same questions."""
        predictions = list(predictions)
        try:
            with self.path.open("ab") as stream:
                stream.write("".join(map(_line, predictions)).encode("utf-8"))
        except OSError as error:
            raise unwritable(self.path.parent, error) from error
        for prediction in predictions:
            index = prediction.question.index
            if not prediction.error:
                self.by_index[index] = prediction
                self.failed.pop(index, None)
            elif index not in self.by_index:
                self.failed[index] = prediction

    def finish(self) -> tuple[Prediction, ...]:
        """Sort the file by row, with one line for each question, and return the predictions that did not fail."""
        lines = self.by_index | self.failed
        try:
            write_whole(self.path, "".join(_line(lines[index]) for index in sorted(lines)))
        except OSError as error:
            raise unwritable(self.path.parent, error) from error
        return tuple(self.by_index[index] for index in sorted(self.by_index))


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


def predicted(question: Question, text: str, unknown: str = "") -> Prediction:
    """The prediction for a question, compared with the expected answer; a guess is left out, and wrong."""
    text = "" if unknown else text
    if question.options:
        choice = chosen(text, question.options)
        correct = choice is not None and ascii_uppercase[choice] == question.answer
        return Prediction(question, text, correct and not unknown, unknown=unknown)
    correct_or_none = None if question.is_caption else is_match(text, *question.references) and not unknown
    return Prediction(question, text, correct_or_none, unknown=unknown)


def failed(question: Question, error: ChatError) -> Prediction:
    """The record of a question that the model failed to answer."""
    return Prediction(question, "", None, shortened(str(error), 300) or type(error).__name__)


def _line(prediction: Prediction) -> str:
    question = prediction.question
    entry: dict[str, Any] = {"row": question.index, "image": question.key, "family": question.family}
    if question.yaw_deg:
        entry["yaw_deg"] = question.yaw_deg
    entry["question"] = question.question
    if question.options:
        entry["options"] = question.options
    entry["answer"] = question.answer
    if prediction.error:
        return json_text({**entry, "prediction": None, "correct": None, "error": prediction.error})
    entry["prediction"] = None if prediction.unknown else prediction.text
    if question.options:
        choice = chosen(prediction.text, question.options)
        entry["choice"] = None if choice is None else ascii_uppercase[choice]
    if prediction.unknown:
        entry["unknown"] = prediction.unknown
    return json_text({**entry, "correct": prediction.correct})


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
        EvaluationError: A panorama cannot be read, a file of predictions is damaged, or the model does not answer.
    """
    found: dict[str, tuple[Prediction, ...]] = {}
    errors: dict[str, tuple[Prediction, ...]] = {}
    unreadable: dict[str, dict[str, str]] = {}
    answered_before = 0
    watch = _Watch()
    batch_size = options.batch_size or default_batch_size(answerer)
    for one in passes:
        file = PredictionFile(folder / one.file, one.questions)
        answered_before += len(file.by_index)
        progress(one.name, len(file.by_index), len(one.questions))
        unreadable[one.name] = {}
        waiting = _open_chunks(one.questions, file.by_index, batch_size)
        for chunk, panoramas in read_ahead(answerer, waiting, options.private_redirects):
            bad = {group[0].key: read for group, read in zip(chunk, panoramas, strict=True) if isinstance(read, str)}
            if bad and not options.skip_bad:
                group = next(group for group in chunk if group[0].key in bad)
                message = f"{group[0].place}: {bad[group[0].key]} (--skip-bad leaves out such panoramas)"
                raise EvaluationError(message)
            unreadable[one.name] |= bad
            for batch in _answer(answerer, chunk, panoramas, file.by_index, batch_size, options.max_new_tokens):
                file.append(batch)
                progress(one.name, len(file.by_index) + len(file.failed), len(one.questions))
                watch.add(batch)
        found[one.name], errors[one.name] = file.finish(), tuple(file.failed.values())
        watch.end_of_pass()
    plain, *probes = (one.name for one in passes)
    return Predictions(
        plain=found[plain],
        probes={name: found[name] for name in probes},
        unreadable=unreadable[plain],
        left_out=sum(question.key in unreadable[plain] for question in passes[0].questions),
        answered_before=answered_before,
        errors=errors,
    )


class _Watch:
    """Ends a run in which the model does not answer any more: a wrong key, or a server that is down."""

    def __init__(self) -> None:
        self._answered = self._in_a_row = 0
        self._last = ""

    def add(self, batch: Sequence[Prediction]) -> None:
        """Count the predictions of a batch.

        Raises:
            EvaluationError: Too many questions failed one after another.
        """
        for prediction in batch:
            self._in_a_row = self._in_a_row + 1 if prediction.error else 0
            self._answered += not prediction.error
            self._last = prediction.error or self._last
        if self._in_a_row >= (FAILURES_IN_A_ROW if self._answered else FAILURES_AT_FIRST):
            raise self._error()

    def end_of_pass(self) -> None:
        """Check that a question was answered, if some were asked.

        Raises:
            EvaluationError: All questions failed.
        """
        if self._in_a_row and not self._answered:
            raise self._error()

    def _error(self) -> EvaluationError:
        which = "last" if self._answered else "first"
        return EvaluationError(
            f"the model answered none of the {which} {self._in_a_row} questions: {self._last.rstrip('.')}; the "
            "predictions so far are kept, run the same command again to go on"
        )


def default_batch_size(answerer: Answerer) -> int:
    """How many questions are answered together, and lost at most when a run is stopped, unless an option says so.

    A PanoLLaVA checkpoint reads each panorama once for all questions of a batch, so its batches are large. Other models
    need up to several calls for each question, so theirs are as small as keeps them busy.
    """
    chat = answerer.chat
    if chat.family.reads_panoramas:
        return BATCH_SIZE
    return 2 * chat.batch_size


def runs_here(answerer: Answerer) -> bool:
    """Whether the model runs in this process, so that an answer can depend, if little, on the batch it is in."""
    return answerer.model is not None


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


def _answer(
    answerer: Answerer,
    chunk: Chunk,
    panoramas: Sequence[Panorama | str],
    answered: Mapping[int, Prediction],
    batch_size: int,
    max_new_tokens: int,
) -> Iterator[list[Prediction]]:
    """Predictions for the readable panoramas of a chunk, one batch at a time; finished batches are left out.

    An unfinished batch is asked whole, as in a run that was not stopped. An endpoint is asked the open questions only.
    """
    readable = {place: value for place, value in enumerate(panoramas) if not isinstance(value, str)}
    numbers = {place: number for number, place in enumerate(readable)}
    whole = runs_here(answerer)
    asked: list[tuple[int, Question]] = []
    batches: list[range] = []
    for batch in _batches(chunk, batch_size):
        start = len(asked)
        asked += [
            (numbers[place], question)
            for place, question in batch
            if place in numbers and (whole or question.index not in answered)
        ]
        if any(question.index not in answered for _, question in asked[start:]):
            batches.append(range(start, len(asked)))
    if not batches:
        return
    for indices, replies in zip(
        batches, _replies(answerer, list(readable.values()), asked, batches, max_new_tokens), strict=True
    ):
        yield [
            failed(asked[index][1], reply) if isinstance(reply, ChatError) else predicted(asked[index][1], *reply)
            for index, reply in zip(indices, replies, strict=True)
        ]


def _replies(
    answerer: Answerer,
    panoramas: Sequence[Panorama],
    asked: Sequence[tuple[int, Question]],
    batches: Sequence[Sequence[int]],
    max_new_tokens: int,
) -> Iterator[list[tuple[str, str] | ChatError]]:
    """The answers of each batch, each with what the model does not know, as soon as they are there.

    Raises:
        EvaluationError: The model cannot be asked at all.
    """
    if answerer.chat.family.reads_panoramas:
        # All questions of the chunk are known to the model, so that it reads each panorama once.
        requests = [
            Request(native_messages(panoramas[number], question.prompt), max_new_tokens) for number, question in asked
        ]
        for replies in answerer.chat.reply_batches(requests, batches):
            yield [
                reply
                if isinstance(reply, ChatError)
                else (
                    reply.text,
                    unknown_reason(reply.unknown_words, reply.unknown_image, reply.unknown_question),
                )
                for reply in replies
            ]
        return
    memo: dict[Any, Reply] = {}  # of this chunk: descriptions of views belong to its panoramas
    for batch in batches:
        try:
            found = answerer.answer_all(
                panoramas,
                [asked[index][1].prompt for index in batch],
                [asked[index][0] for index in batch],
                max_new_tokens=max_new_tokens,
                memo=memo,
            )
        except ChatError as error:  # of the whole: the key is refused, or there is no such host
            raise EvaluationError(one_line(error)) from error
        yield [answer if isinstance(answer, ChatError) else (answer.text, answer.unknown) for answer in found]


def _batches(chunk: Chunk, batch_size: int) -> Iterator[list[tuple[int, Question]]]:
    """Batches of (position of the panorama in the chunk, question).

    Captions have their own batches, because their answers are longer; questions of similar length are together.
    """
    pairs = [(place, question) for place, group in enumerate(chunk) for question in group]
    pairs.sort(key=lambda pair: (pair[1].family, len(pair[1].question)))
    for captions in (False, True):
        part = [pair for pair in pairs if pair[1].is_caption == captions]
        yield from (part[start : start + batch_size] for start in range(0, len(part), batch_size))
