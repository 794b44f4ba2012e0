"""How well answers can be guessed without a look at the pictures."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from panollava_hf.panoshapes._vocabulary import FAMILIES


@dataclass(frozen=True)
class FamilySummary:
    """The answers of one family in one split.

    Attributes:
        family: One of `FAMILIES`.
        questions: How many there are.
        answers: How many different answers they have.
        commonest: The commonest answer.
        prior: Its share: what always giving this answer scores.
    """

    family: str
    questions: int
    answers: int
    commonest: str
    prior: float


def summarise(table: Path) -> list[FamilySummary]:
    """Measure the priors of a table of questions that `write_panoshapes` wrote."""
    answers: dict[str, Counter[str]] = {family: Counter() for family in FAMILIES}
    with table.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            answers[row["family"]][row["answer"]] += 1
    summaries = []
    for family, counts in answers.items():
        if total := counts.total():
            commonest, most = counts.most_common(1)[0]
            summaries.append(FamilySummary(family, total, len(counts), commonest, most / total))
    return summaries
