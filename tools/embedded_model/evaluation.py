"""The evaluations: known wordings with probes, held-out wordings, unknown words, photographs.

Like the training, they run in processes of their own, because a small model hardly uses a second core.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
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


#: The split with the known wordings, and what it is called in the results.
_KNOWN_SPLIT, KNOWN = "test", "known"


def run(checkpoint: Path, work: Path, photographs: Sequence[Path], processes: int = 1) -> dict[str, Outcome]:
    """Evaluate a checkpoint on everything that is in `work/data/test`; finished predictions are kept.

    Args:
        checkpoint: The checkpoint.
        work: The folder.
        photographs: Panoramas of real places; those of the calibration are left out.
        processes: Processes that share the splits.
    """
    splits = [KNOWN, *HELD_OUT, *UNKNOWN]  # the longest one first
    # A fork would have the locks of torch's threads; threads that wait for each other would take the cores.
    with ProcessPoolExecutor(processes, get_context("spawn"), _use_one_thread if processes > 1 else None) as pool:
        started = [pool.submit(_evaluated, checkpoint, work, split) for split in splits]
        found = {split: one.result() for split, one in zip(splits, started, strict=True)}
    kept = [path for path in photographs if path not in for_calibration(photographs)]
    found[PHOTOGRAPHS] = _about_photographs(Answerer.load(str(checkpoint)), kept)
    return found


def _use_one_thread() -> None:
    torch.set_num_threads(1)


def _evaluated(checkpoint: Path, work: Path, name: str) -> Outcome:
    is_known = name == KNOWN
    output = work / "results" / name
    questions = read_questions(work / "data" / "test", split=_KNOWN_SPLIT if is_known else name)
    options = Options(shuffle_images=True, rotate="random") if is_known else Options()
    results = evaluate(Answerer.load(str(checkpoint)), questions, output, options).to_json()
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
