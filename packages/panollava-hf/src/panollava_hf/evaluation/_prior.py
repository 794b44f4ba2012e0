"""What one scores without looking: always the answer that is most frequent for such a question."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._rows import Row


@dataclass
class _Answers:
    """Answers to questions of one template."""

    count: int = 0
    said: Counter[str] = field(default_factory=Counter)
    copied: Counter[int] = field(default_factory=Counter)  #: from which place of the question

    def most(self) -> int:
        """Right answers of the best constant, or of the best place to copy from."""
        return max([0, *self.said.values(), *self.copied.values()])


class Template:
    """Takes out of questions the things that they name, so that questions made alike are alike.

    Args:
        words: Names of colours, shapes and directions.

    Example:
        >>> Template(["red", "cube", "left", "back left"]).split("Where is the red cube?")
        ('where is * *', ['red', 'cube'])
    """

    def __init__(self, words: Sequence[str]) -> None:
        longest_first = sorted(map(re.escape, words), key=len, reverse=True)
        self._word = re.compile(rf"\b({'|'.join(longest_first)})(?:e?s)?\b") if words else None

    def split(self, question: str) -> tuple[str, list[str]]:
        """The template, and what stood in its places."""
        plain = normalise(question)
        return (plain, []) if self._word is None else (self._word.sub("*", plain), self._word.findall(plain))


def answer_prior(rows: Sequence[Row], words: Sequence[str] = ()) -> dict[str, float]:
    """Exact match, by family, of the best answers that need no picture.

    For each template of questions that is the most frequent answer, or what most often stands in one place of the
    question ("Which is nearer, the red cube or the blue cone?" is half answered by naming the first). Both are chosen
    on the rows themselves, so this is the best that such a rule can do on them.

    Args:
        rows: Questions; captions are left out.
        words: Words that templates leave out, see `Template`.
    """
    template = Template(words)
    answers: dict[tuple[str, str], _Answers] = {}
    for row in rows:
        if row.is_caption:
            continue
        kind, named = template.split(row.question)
        found = answers.setdefault((row.family, kind), _Answers())
        wanted = normalise(row.answer)
        found.count += 1
        found.said[wanted] += 1
        length = len(template.split(wanted)[1])
        found.copied.update(
            i for i in range(len(named) - length + 1) if length and " ".join(named[i : i + length]) == wanted
        )
    right: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for (family, _), found in answers.items():
        right[family] += found.most()
        count[family] += found.count
    return {family: right[family] / count[family] for family in sorted(count)}
