"""An evaluation from questions and a model to a folder of results."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from panollava_hf._errors import EvaluationError, TextError
from panollava_hf._files import write_whole
from panollava_hf._shown import listed, shortened
from panollava_hf.asking import Answerer
from panollava_hf.asking._generation import max_positions, new_tokens
from panollava_hf.evaluation._predictions import Progress, predict, unwritable
from panollava_hf.evaluation._questions import Pass, Questions
from panollava_hf.evaluation._results import DataInfo, ModelInfo, Options, Results, Settings
from panollava_hf.evaluation.metrics import METRICS
from panollava_hf.evaluation.metrics._captions import missing_library
from panollava_hf.evaluation.metrics._rotation import rotated
from panollava_hf.evaluation.metrics._without_image import shuffled
from panollava_hf.outside._json_file import read_object

#: File that says which evaluation a folder belongs to.
SETTINGS = "settings.json"
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
    passes = [Pass("questions", "predictions.jsonl", questions.rows)]
    if options.shuffle_images:
        passes.append(shuffled(questions, options.seed))
    if options.rotate is not None:
        passes.append(rotated(questions, options.rotate, options.seed))
    fingerprint = answerer.fingerprint()
    if fingerprint is None:
        raise EvaluationError(f"{answerer.name}: these weights have no fingerprint; expected a folder or a Hub id")
    model = ModelInfo(answerer.name, fingerprint, answerer.trained)
    images = len({question.key for question in questions})
    data = DataInfo(questions.source, questions.split, questions.fingerprint, len(questions), images)
    dtype = str(answerer.dtype).removeprefix("torch.")
    settings = Settings(**asdict(options), dtype=dtype, device=str(answerer.device))
    check_lengths(answerer, passes)
    with _writing(output):
        claim_folder(output, model, data, settings)
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
    )
    with _writing(output):
        results.write(output)
    return results


def check_lengths(answerer: Answerer, passes: Iterable[Pass]) -> None:
    """Report a question that the model cannot read before the first one is asked.

    Raises:
        EvaluationError: A question is longer than the model reads, or not valid Unicode; the message names its row.
    """
    config = answerer.model.config
    positions = max_positions(config)
    template = answerer.prompt_length("")
    for question in (question for one in passes for question in one.questions):
        # A token has at least a quarter of a byte, so most questions need not be tokenised twice.
        size = len(question.question.encode("utf-8", "surrogatepass"))
        if question.question.isascii() and (positions is None or template + 4 * size < positions):
            continue
        try:
            new_tokens(config, answerer.prompt_length(question.question), 1)
        except TextError as error:
            raise EvaluationError(f"{question.place}: {error}") from error


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


def claim_folder(folder: Path, model: ModelInfo, data: DataInfo, settings: Settings) -> None:
    """Create a folder of results, or check that an existing one belongs to the same model, data and settings.

    Raises:
        EvaluationError: It belongs to another evaluation, or holds other files.
    """
    identity = {
        "model": {"name": model.name, "fingerprint": model.fingerprint},
        "data": {"source": data.source, "split": data.split, "fingerprint": data.fingerprint},
        "settings": {
            "max_new_tokens": settings.max_new_tokens,
            "dtype": settings.dtype,
            "seed": settings.seed,
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
    changed = [(key, value) for key, value in wanted["settings"].items() if value != settings.get(key)]
    for part, name, what in (("model", "name", "weights"), ("data", "source", "data")):
        mine, theirs = wanted[part], _part(found.get(part))
        if any(mine[key] != theirs.get(key) for key in mine if key != name):
            if mine[name] == theirs.get(name):
                limit = " or --limit" if part == "data" else ""
                return f"other {what} ({mine[name]}{limit} has changed since)"
            return f"other {what} ({shortened(str(theirs.get(name)), 200)}, not {mine[name]})"
    if changed:
        pairs = ", ".join(f"{key} {shortened(str(settings.get(key)), 80)}, not {value}" for key, value in changed)
        return f"other settings ({pairs})"
    return None


def _part(found: Any) -> Mapping[str, Any]:
    """A part of a stored identity; empty if it is not what was written."""
    return found if isinstance(found, dict) else {}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
