"""Evaluation results for a model card, from a file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

TASK = "visual-question-answering"
CAPTIONS = {"bleu4": "BLEU-4", "meteor": "METEOR", "rouge_l": "ROUGE-L", "cider": "CIDEr"}


def read_results(path: Path) -> tuple[EvalResult, ...]:
    """Results from the `results.json` of `panollava eval`, or from a list of your own.

    A list holds objects with the fields of `huggingface_hub.EvalResult`: needed are `dataset_name`, `dataset_type`,
    `metric_type` and `metric_value`; `task_type` is `visual-question-answering` unless given.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is neither.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if isinstance(found, dict) and {"exact_match", "families", "data"} <= found.keys():
        return tuple(_of_evaluation(found))
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError(
            f"{path} must hold a JSON list of objects, one for each result, or be the results.json of `panollava eval`"
        )
    results = []
    for number, entry in enumerate(found):
        try:
            results.append(EvalResult(**{"task_type": TASK, **entry}))
        except TypeError as error:
            raise ValueError(f"{path}, result {number}: {str(error).split('__init__() ')[-1]}") from error
    return tuple(results)


def _of_evaluation(found: dict[str, Any]) -> Iterator[EvalResult]:
    """Exact match of everything and of each family, and captions' metrics; what was not asked is left out."""
    name = Path(found["data"]["source"]).name  # where a folder lies is nobody's business
    common: dict[str, Any] = {
        "dataset_type": name.lower(),
        "dataset_name": name,
        "dataset_split": found["data"]["split"],
    }
    shares = {"": found["exact_match"]} | {kind: family["exact_match"] for kind, family in found["families"].items()}
    for kind, share in shares.items():
        if share is not None:
            metric = f"exact_match_{kind}" if kind else "exact_match"
            title = f"exact match in %, {kind}" if kind else "exact match in %"
            yield EvalResult(
                task_type=TASK, metric_type=metric, metric_name=title, metric_value=round(100 * share, 2), **common
            )
    for kind, title in CAPTIONS.items():
        value = (found.get("captions") or {}).get(kind)
        if value is not None:
            yield EvalResult(
                task_type="image-to-text", metric_type=kind, metric_name=title, metric_value=round(value, 4), **common
            )
