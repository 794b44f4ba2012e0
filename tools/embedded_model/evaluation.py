"""The evaluations: known wordings with probes, held-out wordings, unknown words, photographs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panollava_hf.asking import Answerer
from panollava_hf.evaluation._evaluate import evaluate
from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._questions import read_questions
from panollava_hf.evaluation._results import Options

from tools.embedded_model.data import HELD_OUT, UNKNOWN
from tools.embedded_model.knowledge import for_calibration

#: Known questions that are asked about each photograph.
_ABOUT_PHOTOGRAPHS = (
    "What is behind me?",
    "Where is the red cube?",
    "How many objects are there?",
    "Describe the scene.",
    "Is there a blue ball?",
    "What colour is the cone?",
)
PHOTOGRAPHS = "photographs"


@dataclass(frozen=True)
class Outcome:
    """An evaluation.

    Attributes:
        results: The content of its `results.json`.
        correct: Share of exact answers by family, captions too; what is reported as unknown is wrong.
        unknown: Share of questions that were reported as unknown.
        answered: Share of exact answers by family among the questions that were not.
        count: Number of questions.
    """

    results: dict[str, Any]
    correct: dict[str, float]
    unknown: float
    count: int
    answered: dict[str, float] = field(default_factory=dict)


def run(checkpoint: Path, work: Path, photographs: Sequence[Path]) -> dict[str, Outcome]:
    """Evaluate a checkpoint on everything that is in `work/data/test`; finished predictions are kept."""
    answerer = Answerer.load(str(checkpoint))
    test, results = work / "data" / "test", work / "results"
    kept = [path for path in photographs if path not in for_calibration(photographs)]
    found = {
        "known": _evaluated(answerer, test, "test", results / "known", Options(shuffle_images=True, rotate="random"))
    }
    for split in (*HELD_OUT, *UNKNOWN):
        found[split] = _evaluated(answerer, test, split, results / split, Options())
    found[PHOTOGRAPHS] = _about_photographs(answerer, kept)
    return found


def _evaluated(answerer: Answerer, folder: Path, split: str, output: Path, options: Options) -> Outcome:
    questions = read_questions(folder, split=split)
    results = evaluate(answerer, questions, output, options).to_json()
    lines = (output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return outcome(results, [json.loads(line) for line in lines])


def outcome(results: dict[str, Any], predictions: Sequence[dict[str, Any]]) -> Outcome:
    """Shares by family from the lines of `predictions.jsonl`."""
    families: dict[str, list[bool]] = {}
    answered: dict[str, list[bool]] = {}
    for line in predictions:
        right = normalise(line["prediction"] or "") == normalise(line["answer"]) and not line.get("unknown")
        families.setdefault(line["family"], []).append(right)
        if not line.get("unknown"):
            answered.setdefault(line["family"], []).append(right)
    reported = [bool(line.get("unknown")) for line in predictions]
    correct, given = (
        {name: sum(found) / len(found) for name, found in sorted(shares.items())} for shares in (families, answered)
    )
    return Outcome(results, correct, sum(reported) / len(reported), len(reported), given)


def _about_photographs(answerer: Answerer, photographs: Sequence[Path]) -> Outcome:
    """Known questions about photographs."""
    reported = []
    for path in photographs:
        asked = _ABOUT_PHOTOGRAPHS
        answers = answerer.answer_all([path], asked, [0] * len(asked))
        reported += [bool(getattr(answer, "unknown", "")) for answer in answers]
    return Outcome({}, {}, sum(reported) / len(reported), len(reported))
