"""An evaluation from questions and a model to a folder of results."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from panollava_geometry.addresses import source_name

from panollava_hf._errors import EvaluationError, TextError
from panollava_hf._files import write_whole
from panollava_hf._shown import listed, shortened
from panollava_hf.asking import Answerer
from panollava_hf.asking._chat import Request
from panollava_hf.asking.models._lengths import new_tokens
from panollava_hf.asking.strategies import native_messages
from panollava_hf.evaluation._predictions import Progress, default_batch_size, predict, runs_here, unwritable
from panollava_hf.evaluation._questions import Pass, Questions
from panollava_hf.evaluation._results import ASKING, DataInfo, ModelInfo, Options, Results, Settings
from panollava_hf.evaluation.metrics import METRICS
from panollava_hf.evaluation.metrics._captions import missing_library
from panollava_hf.evaluation.metrics._rotation import rotated
from panollava_hf.evaluation.metrics._without_image import shuffled
from panollava_hf.outside._json_file import read_object

#: File that says which evaluation a folder belongs to.
SETTINGS = "settings.json"
#: Most different reasons of failed questions in the results.
MAX_REASONS = 20
#: Packages whose versions are in the results.
PACKAGES = ("panollava-hf", "panollava-core", "panollava-geometry", "torch", "transformers")


def evaluate(
    answerer: Answerer,
    questions: Questions,
    output: Path,
    options: Options | None = None,
    *,
    progress: Progress = lambda name, done, total: None,
) -> Results:
    """Ask all questions, and write `results.json`, `results.md`, `predictions*.jsonl` and `directions.png`.

    Args:
        answerer: The model.
        questions: The questions, from `read_questions`.
        output: Folder of results; a folder of the same evaluation is continued.
        options: How to evaluate; default: `Options()`.
        progress: Called with the name of a pass, how many of its questions are answered, and how many it has.

    Raises:
        EvaluationError: The folder belongs to another evaluation, a panorama cannot be read, or the data does not have
            what a probe needs.
    """
    started = time.perf_counter()
    options = options or Options()
    check(questions, options)
    passes = passes_of(questions, options)
    fingerprint = answerer.fingerprint()
    if fingerprint is None and not runs_here(answerer):
        fingerprint = answerer.name  # with the address, all that is known of a model at an endpoint
    if fingerprint is None:
        raise EvaluationError(f"{answerer.name}: these weights have no fingerprint; expected a folder or a Hub id")
    model = ModelInfo(answerer.name, fingerprint, answerer.trained)
    images = len({question.key for question in questions})
    data = DataInfo(questions.source, questions.split, questions.fingerprint, len(questions), images)
    settings = settings_of(answerer, options)
    check_lengths(answerer, passes)
    with _writing(output):
        claim_folder(output, model, data, settings, questions.reading)
    predictions = predict(answerer, passes, output, options, progress)
    if predictions.left_out == len(questions):
        raise EvaluationError(
            f"none of the {images} panoramas of {questions.source} can be read, the first: "
            f"{next(iter(predictions.unreadable.values()))}"
        )
    metrics = METRICS | {one.name: one.metric for one in passes if one.metric is not None}
    results = Results(
        metrics={name: metric(questions, predictions) for name, metric in metrics.items()},
        unreadable=predictions.unreadable,
        left_out=predictions.left_out,
        unusable=questions.unusable,
        model=model,
        data=data,
        settings=settings,
        versions={package: _version(package) for package in PACKAGES},
        answered_before=predictions.answered_before,
        seconds=round(time.perf_counter() - started, 3),
        errors={
            name: dict(Counter(prediction.error for prediction in failed).most_common(MAX_REASONS))
            for name, failed in predictions.errors.items()
            if failed
        },
    )
    with _writing(output):
        results.write(output)
    return results


def passes_of(questions: Questions, options: Options) -> list[Pass]:
    """The questions as the table has them, and those of the probes."""
    passes = [Pass("questions", "predictions.jsonl", questions.rows)]
    if options.shuffle_images:
        passes.append(shuffled(questions, options.seed))
    if options.rotate is not None:
        passes.append(rotated(questions, options.rotate, options.seed))
    return passes


def settings_of(answerer: Answerer, options: Options) -> Settings:
    """The options, and how the model runs and is shown panoramas."""
    chat, look = answerer.chat, answerer.look
    shown: dict[str, Any] = {}
    if not chat.family.reads_panoramas:
        device = str(chat.device)  # of an endpoint: its address without secrets
        shown = {
            "strategy": answerer.strategy,
            "view_size": look.size[0],
            "labels": look.labels,
            "system": look.system,
            "base_url": source_name(device, shorten=False) if "://" in device else None,
        }
    given = asdict(options) | {"batch_size": options.batch_size or default_batch_size(answerer)}
    dtype = str(chat.dtype).removeprefix("torch.")
    return Settings(**given, dtype=dtype, device=str(chat.device), **shown)


def check_lengths(answerer: Answerer, passes: Iterable[Pass]) -> None:
    """Report a question that the model cannot read before the first one is asked.

    How long a question may be is known of PanoLLaVA checkpoints only.

    Raises:
        EvaluationError: A question is longer than the model reads, or not valid Unicode; the message names its row.
    """
    native = answerer.chat.family.reads_panoramas
    config = answerer.model.config if native else None
    positions = answerer.max_positions if native else None
    template = _length(answerer, "") if native else 0
    for question in (question for one in passes for question in one.questions):
        # A token has at least a quarter of a byte, so most questions need not be tokenised twice.
        size = len(question.prompt.encode("utf-8", "surrogatepass"))
        if question.prompt.isascii() and (positions is None or template + 4 * size < positions):
            continue
        try:
            if native:
                new_tokens(config, _length(answerer, question.prompt), 1)
            else:
                question.prompt.encode("utf-8")
        except (TextError, UnicodeEncodeError) as error:
            raise EvaluationError(f"{question.place}: {error}") from error


def _length(answerer: Answerer, question: str) -> int:
    """Number of tokens of the prompt of a question, with those of the panorama."""
    return answerer.chat.count(Request(native_messages(None, question), 1)).prompt or 0


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What the file system says about a folder of results, with what to do."""
    try:
        yield
    except OSError as error:
        raise unwritable(folder, error) from error


def check(questions: Questions, options: Options, *, captions: bool = False) -> None:
    """Report what can be reported before a model is loaded.

    Args:
        questions: The questions.
        options: How to evaluate.
        captions: Whether captions have to be scored; otherwise a missing library is only noted in the results.

    Raises:
        EvaluationError: An image is missing, the data does not have what a probe needs, or a library is missing.
    """
    if not options.skip_bad:
        paths: dict[Path, str] = {}
        for question in questions:
            if isinstance(question.image, Path):
                paths.setdefault(question.image, question.place)
        absent = [f"{place}: no such image: {path}" for path, place in paths.items() if not os.path.isfile(path)]
        if absent:
            raise EvaluationError(f"{listed(absent, 3, '; ')} (--skip-bad leaves out such panoramas)")
    if options.shuffle_images and len({question.key for question in questions}) < 2:
        raise EvaluationError(f"--shuffle-images needs at least two panoramas; {questions.source} has one")
    if options.rotate is not None and questions.scenes is None:
        raise EvaluationError(f"--rotate needs a PanoShapes folder; {questions.source} has no file of scenes")
    if captions and (missing := missing_library()) is not None:
        raise EvaluationError(f"--captions needs {missing}")


def claim_folder(
    folder: Path, model: ModelInfo, data: DataInfo, settings: Settings, reading: Mapping[str, Any] | None = None
) -> None:
    """Create a folder of results, or check that an existing one belongs to the same model, data and settings.

    Args:
        folder: The folder.
        model: The model.
        data: The questions.
        settings: How they are asked.
        reading: The options with which the questions were read, so that a message can name the one that changed.

    Raises:
        EvaluationError: It belongs to another evaluation, or holds other files.
    """
    identity = {
        "model": {"name": model.name, "fingerprint": model.fingerprint},
        "data": {
            "source": data.source,
            "split": data.split,
            "fingerprint": data.fingerprint,
            "options": dict(reading or {}),
        },
        "settings": {
            "max_new_tokens": settings.max_new_tokens,
            "dtype": settings.dtype,
            "seed": settings.seed,
            **{name: value for name in ASKING if (value := getattr(settings, name)) is not None},
        },
    }
    file = folder / SETTINGS
    if folder.exists() and not folder.is_dir():
        raise EvaluationError(f"--output {folder} is a file; expected a folder")
    if not file.exists():
        if folder.is_dir() and any(not path.name.startswith(f".{SETTINGS}.") for path in folder.iterdir()):
            raise EvaluationError(f"--output {folder} holds files that are not from an evaluation; choose a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(identity, indent=2) + "\n")
        return
    remedy = "choose a new --output, or delete the folder"
    difference = _difference(identity, read_object(file, kind=EvaluationError, remedy=remedy))
    if difference is not None:
        raise EvaluationError(
            f"--output {folder} belongs to an evaluation with {difference}; "
            "choose a new folder, or delete this one to start again"
        )


def _difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """The first difference between two identities; names do not count, fingerprints do."""
    settings = _part(found.get("settings"))
    names = [*wanted["settings"], *(name for name in ASKING if name in settings and name not in wanted["settings"])]
    changed = {name: value for name in names if (value := wanted["settings"].get(name)) != settings.get(name)}
    if "base_url" in changed:  # the fingerprint of an endpoint holds its address
        return _options(changed, settings, first="base_url")
    for part, name, what in (("model", "name", "weights"), ("data", "source", "data")):
        mine, theirs = wanted[part], _part(found.get(part))
        if mine["fingerprint"] == theirs.get("fingerprint"):
            continue
        if mine[name] != theirs.get(name):
            return f"other {what} ({shortened(str(theirs.get(name)), 200)}, not {mine[name]})"
        if part == "data" and (given := _part(theirs.get("options"))):
            now = {**mine["options"], "split": mine["split"]}
            before = {**given, "split": theirs.get("split")}
            if other := {option: value for option, value in now.items() if value != before.get(option)}:
                return _options(other, before)
        return f"other {what} ({mine[name]} has changed since)"
    if wanted["data"]["split"] != _part(found.get("data")).get("split"):
        return _options({"split": wanted["data"]["split"]}, _part(found.get("data")))
    return _options(changed, settings) if changed else None


def _options(changed: Mapping[str, Any], before: Mapping[str, Any], first: str = "") -> str:
    """The options that differ, each with its earlier and its present value."""
    pairs = [
        f"--{name.removesuffix('s' * (name == 'columns')).replace('_', '-')} ({_value(before.get(name))}, now "
        f"{_value(changed[name])})"
        for name in sorted(changed, key=lambda name: name != first)
    ]
    return f"another {' and '.join(pairs)}"


def _value(value: Any) -> str:
    """The value of an option as it is given on the command line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        value = " ".join(f"{role}={name}" for role, name in value.items()) or None
    return "none" if value is None else shortened(str(value), 80)


def _part(found: Any) -> Mapping[str, Any]:
    """A part of a stored identity; empty if it is not what was written."""
    return found if isinstance(found, dict) else {}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
