"""Look at the questions and answers of a table: their lengths, copies, and rows that contradict each other."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from panollava_hf._shown import shortened, shown
from panollava_hf._text_scores import words
from panollava_hf.checking._images import Images
from panollava_hf.checking._report import Problems, Texts, numbers
from panollava_hf.checking._tables import Found
from panollava_hf.evaluation import normalise

#: Number of texts that are tokenised together, and of the most frequent answers that are reported.
_BATCH, _COMMON = 1000, 12
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*\s*%?")
_YES_NO = frozenset(("yes", "no", "true", "false", "예", "네", "아니요", "아니오", "はい", "いいえ", "是", "否"))

#: Lengths of texts, and what they count.
Measure = Callable[[Sequence[str]], Sequence[int]]


def word_counts(texts: Sequence[str]) -> list[int]:
    """The number of words of each text; of languages without spaces, of characters."""
    return [len(words(text)) for text in texts]


def look_at_texts(found: Found, images: Images, problems: Problems, measure: Measure, unit: str) -> tuple[Texts, Texts]:
    """Look at all questions and answers, and add copies and contradictions to the problems.

    Args:
        found: The table.
        images: Its panoramas.
        problems: Problems are added here.
        measure: Gives the lengths of texts.
        unit: What the lengths count.
    """
    examples = found.examples
    seen: dict[bytes, int] = {}
    answers: dict[bytes, tuple[int, str]] = {}
    columns = (examples.cells(examples.columns[role]) for role in ("question", "answer"))
    for row, (place, question, answer) in enumerate(zip(images.of_row, *columns, strict=True)):
        whole = _digest(place, question, answer)
        if whole in seen:
            problems.add("note", "copy", found.where(row), f"the same row as {found.place(seen[whole])}")
            continue
        seen[whole] = row
        asked = _digest(place, normalise(question))
        first, other = answers.setdefault(asked, (row, answer))
        if normalise(answer) != normalise(other):
            text = (
                f"another answer than in {found.place(first)} to the same question about the same panorama: "
                f"{shown(answer)}, there {shown(other)}"
            )
            problems.add("note", "two answers", found.where(row), text)
    question, answer = (
        _texts(examples.cells(examples.columns[role]), measure, unit) for role in ("question", "answer")
    )
    return question, answer


def _digest(*parts: Any) -> bytes:
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _texts(cells: Iterable[str], measure: Measure, unit: str) -> Texts:
    """The lengths and kinds of texts, a batch at a time."""
    lengths: list[np.ndarray] = []
    kinds: Counter[str] = Counter()
    common: Counter[str] = Counter()
    batch: list[str] = []

    def count() -> None:
        if batch:
            lengths.append(np.asarray(measure(batch), dtype=np.int64))
            kinds.update(map(_kind, batch))
            common.update(shortened(text, 200) for text in batch)
            batch.clear()

    for cell in cells:
        batch.append(cell)
        if len(batch) == _BATCH:
            count()
    count()
    joined = np.concatenate(lengths) if lengths else np.zeros(0, np.int64)
    return Texts(len(common), numbers(joined), unit, dict(kinds), tuple(common.most_common(_COMMON)))


def _kind(text: str) -> str:
    plain = normalise(text)
    return "yes or no" if plain in _YES_NO else "number" if _NUMBER.fullmatch(plain) else "text"
