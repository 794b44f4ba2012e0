"""An evaluation from data and a model to a folder of results."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from panollava_hf._errors import EvaluationError
from panollava_hf._files import write_whole
from panollava_hf.asking._answerer import DEFAULT_NAME, Answerer, default_checkpoint
from panollava_hf.asking._prefix import Asker
from panollava_hf.evaluation._answering import Item, Skipped, ask_all
from panollava_hf.evaluation._captions import NEEDS, missing_library
from panollava_hf.evaluation._directions import WHERE, confusion, draw
from panollava_hf.evaluation._predictions import Predictions, claim
from panollava_hf.evaluation._prior import answer_prior
from panollava_hf.evaluation._probes import consistency, plain, rotated, shuffled
from panollava_hf.evaluation._report import captions, exact_match, markdown
from panollava_hf.evaluation._rows import Row, Rows
from panollava_hf.evaluation._scenes import ELSEWHERE, POLES, SEAM, WORDS, place_of, read_scenes, scene_of

#: What of a checkpoint's folder decides its answers.
CHECKPOINT_FILES = (".json", ".safetensors", ".bin", ".jinja", ".model", ".txt")
PACKAGES = ("panollava-hf", "panollava-core", "panollava-geometry", "torch", "transformers")


@dataclass(frozen=True)
class Options:
    """How to evaluate.

    Attributes:
        batch_size: Questions answered at once.
        max_new_tokens: Longest answer, in tokens.
        skip_bad: Whether unreadable panoramas are left out and counted.
        seed: Of shuffled images and random yaws.
        shuffle_images: Whether all questions are asked about another scene's image too.
        rotate: "random" or a yaw in degrees by which panoramas are rolled for another pass.
    """

    batch_size: int = 64
    max_new_tokens: int = 64
    skip_bad: bool = False
    seed: int = 0
    shuffle_images: bool = False
    rotate: str | None = None


#: Called with the name of a pass, how many of its questions are answered, and how many there are.
Progress = Callable[[str, int, int], None]


def evaluate(
    answerer: Answerer,
    data: Rows,
    output: Path,
    options: Options,
    *,
    progress: Progress = lambda name, done, total: None,
) -> dict[str, Any]:
    """Ask everything, and write `results.json`, `results.md`, `predictions*.jsonl` and `directions.png`.

    Args:
        answerer: Model and processor.
        data: The questions.
        output: Folder of results; one of the same evaluation is continued.
        options: How to evaluate.
        progress: Called after each batch.

    Returns:
        What `results.json` holds.

    Raises:
        EvaluationError: The folder belongs to another evaluation, a panorama cannot be read, or a probe cannot be made.
    """
    started = time.perf_counter()
    belongs = identity(answerer, data, options)
    check_beforehand(data, options)
    scenes = {} if data.scenes is None else read_scenes(data.scenes)
    passes: dict[str, list[Item]] = {"predictions": plain(data.rows)}
    unanswerable = 0
    if options.shuffle_images:
        passes["predictions-shuffled"] = shuffled(data.rows, options.seed)
    if options.rotate is not None:
        turns = f"predictions-rotated-{options.rotate}"
        yaw_deg = None if options.rotate == "random" else float(options.rotate)
        passes[turns], unanswerable = rotated(data.rows, scenes, yaw_deg, options.seed)
    claim(output, belongs)
    asker = Asker(answerer, max_new_tokens=options.max_new_tokens)
    done: dict[str, Predictions] = {}
    skipped: dict[str, Skipped] = {}
    kept = 0
    for name, items in passes.items():
        done[name] = Predictions(output / f"{name}.jsonl", len(data.rows))
        kept += len(done[name].by_row)
        skipped[name] = _ask(asker, name, items, done[name], options, progress)
        done[name].finish()
    entries = done["predictions"].by_row
    results: dict[str, Any] = {
        **exact_match(data.rows, entries),
        "captions": captions(data.rows, entries),
        "directions": _directions(data.rows, entries),
        "answer_prior": _prior([row for row in data.rows if row.index in entries]),
        "places": _places(data.rows, entries, scenes) if scenes else None,
    }
    if options.shuffle_images:
        other = exact_match(data.rows, done["predictions-shuffled"].by_row)
        results["shuffled_images"] = {**other, "answer_prior": results["answer_prior"]["exact_match"]}
    if options.rotate is not None:
        turned = consistency(passes[turns], entries, done[turns].by_row)
        results["rotated"] = {"yaw_deg": options.rotate, **turned, "unanswerable": unanswerable}
    left_out = skipped["predictions"]
    results |= {
        "skipped": {"rows": left_out.rows, "images": left_out.images},
        "model": {**belongs["model"], "trained": answerer.trained},
        "data": {**belongs["data"], "rows": len(data.rows), "images": len({row.key for row in data.rows})},
        "settings": {**belongs["settings"], **asdict(options), "device": str(answerer.model.device)},
        "versions": {package: _version(package) for package in PACKAGES},
        "answered_before": kept,
        "seconds": round(time.perf_counter() - started, 3),
    }
    _write(output, results)
    return results


def check_beforehand(data: Rows, options: Options, *, captions: bool = False) -> None:
    """Tell what can be told before a model is loaded.

    Args:
        data: The questions.
        options: How to evaluate.
        captions: Whether captions were asked for, so that they must be scored.

    Raises:
        EvaluationError: A picture is missing, a probe needs what the data does not have, or a library is missing.
    """
    if not options.skip_bad:
        for row in data.rows:
            if isinstance(row.image, Path) and not row.image.is_file():
                raise EvaluationError(f"{row.place}: no such picture: {row.image} (--skip-bad leaves such out)")
    if options.rotate is not None and data.scenes is None:
        raise EvaluationError(f"--rotate needs a PanoShapes folder; {data.source} has no file of scenes")
    if captions and missing_library() is not None:
        raise EvaluationError(f"--captions needs {missing_library()}: {NEEDS}")


def identity(answerer: Answerer, data: Rows, options: Options) -> dict[str, Any]:
    """What a folder of results belongs to: model, data, and the settings that decide answers."""
    dtype = str(answerer.model.dtype).removeprefix("torch.")
    return {
        "model": {"name": answerer.name, "fingerprint": fingerprint(answerer)},
        "data": {"source": data.source, "split": data.split, "fingerprint": data.fingerprint},
        "settings": {"max_new_tokens": options.max_new_tokens, "dtype": dtype, "seed": options.seed},
    }


def fingerprint(answerer: Answerer) -> str:
    """Digest of a checkpoint's files; of a model on the Hub, its commit."""
    folder = default_checkpoint() if answerer.name == DEFAULT_NAME else Path(answerer.name)
    if not folder.is_dir():
        commit = getattr(answerer.model.config, "_commit_hash", None)
        if commit is None:
            raise EvaluationError(f"{answerer.name}: neither a folder nor a commit on the Hub tells these weights")
        return str(commit)
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in CHECKPOINT_FILES:
            digest.update(str(path.relative_to(folder)).encode())
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _ask(
    asker: Asker, name: str, items: Sequence[Item], predictions: Predictions, options: Options, progress: Progress
) -> Skipped:
    total = len(items)
    answered = len(predictions.by_row)
    progress(name, answered, total)

    def told(count: int) -> None:
        nonlocal answered
        answered += count
        progress(name, answered, total)

    return ask_all(asker, items, predictions, batch_size=options.batch_size, skip_bad=options.skip_bad, progress=told)


def _directions(rows: Sequence[Row], entries: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    where = [row for row in rows if row.family == WHERE and row.index in entries]
    return confusion([row.answer for row in where], [entries[row.index]["prediction"] for row in where])


def _prior(rows: Sequence[Row]) -> dict[str, Any]:
    families = answer_prior(rows, WORDS)
    sizes = {name: sum(row.family == name for row in rows) for name in families}
    total = sum(sizes.values())
    overall = sum(families[name] * sizes[name] for name in families) / total if total else None
    return {"exact_match": overall, "families": families}


def _places(rows: Sequence[Row], entries: dict[int, dict[str, Any]], scenes: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, list[Row]] = {SEAM: [], POLES: [], ELSEWHERE: []}
    for row in rows:
        known = None if row.is_caption else scene_of(row, scenes)
        place = None if known is None else place_of(*known, row.answer)
        if place is not None:
            found[place].append(row)
    scores = {place: exact_match(rows, entries) for place, rows in found.items()}
    for place in (SEAM, POLES):
        scores[place]["elsewhere_alike"] = _alike(scores[place]["families"], scores[ELSEWHERE]["families"])
    return scores


def _alike(families: dict[str, Any], elsewhere: dict[str, Any]) -> float | None:
    """Exact match elsewhere on the same mixture of families, so that hard families do not pass for hard places."""
    both = [(found["count"], elsewhere[name]["exact_match"]) for name, found in families.items() if name in elsewhere]
    total = sum(count for count, _ in both)
    return sum(count * share for count, share in both) / total if total else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _write(output: Path, results: dict[str, Any]) -> None:
    if results["directions"] is not None and can_draw():
        names = (Path(name).name for name in (results["model"]["name"], results["data"]["source"]))
        title = "Directions: " + " on ".join(names)
        write_whole(output / "directions.png", draw(results["directions"], title))
    write_whole(output / "results.md", markdown(results))
    write_whole(output / "results.json", json.dumps(results, indent=2, ensure_ascii=False) + "\n")


def can_draw() -> bool:
    """Whether matplotlib is there."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def left_undone(results: dict[str, Any]) -> list[str]:
    """What could not be computed for want of a library, a line each."""
    notes = []
    if results["captions"] is not None and "needs" in results["captions"]:
        notes.append(f"captions are not scored: needs {missing_library()}: {NEEDS}")
    if results["directions"] is not None and not can_draw():
        notes.append(f"directions.png is not drawn: needs matplotlib: {NEEDS}")
    return notes
