"""Read evaluation results for a model card from a file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

from panollava_hf._errors import ExportError

TASK = "visual-question-answering"
CAPTIONS = {"bleu4": "BLEU-4", "meteor": "METEOR", "rouge_l": "ROUGE-L", "cider": "CIDEr"}


def read_results(path: Path) -> tuple[EvalResult, ...]:
    """Read evaluation results for `CardFacts`.

    Args:
        path: The `results.json` of `panollava eval`, or a JSON list of objects with the fields of
            `huggingface_hub.EvalResult`. `dataset_name`, `dataset_type`, `metric_type` and `metric_value` are required;
            the default of `task_type` is `visual-question-answering`.

    Raises:
        OSError: The file cannot be read.
        ExportError: The file is neither of the two.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "results.json"
        >>> result = {"dataset_name": "PanoShapes", "dataset_type": "owner/panoshapes"}
        >>> _ = path.write_text(json.dumps([{**result, "metric_type": "accuracy", "metric_value": 0.75}]))
        >>> read_results(path)[0].metric_value
        0.75
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ExportError(f"{path} is not valid JSON: {error}") from error
    if isinstance(found, dict) and {"exact_match", "families", "data"} <= found.keys():
        return tuple(_of_evaluation(found))
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ExportError(
            f"{path}: expected the results.json of `panollava eval`, or a JSON list with one object for each result"
        )
    results = []
    for number, entry in enumerate(found):
        try:
            results.append(EvalResult(**{"task_type": TASK, **entry}))
        except TypeError as error:
            raise ExportError(f"{path}, result {number}: {str(error).split('__init__() ')[-1]}") from error
    return tuple(results)


def _of_evaluation(found: dict[str, Any]) -> Iterator[EvalResult]:
    """Exact match overall and by question family, and caption metrics; metrics that were not computed are left out."""
    name = Path(found["data"]["source"]).name  # without the path, which is private
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
