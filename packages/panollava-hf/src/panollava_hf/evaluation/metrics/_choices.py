"""Choice accuracy: the share of multiple-choice questions whose reply names the right option."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from panollava_hf.evaluation._choices import same_text
from panollava_hf.evaluation._normalise import normalise
from panollava_hf.evaluation._questions import Prediction, Questions
from panollava_hf.evaluation._results import ALL, MetricResult, percent, table

#: Characters of a long reply that are read, at its start and at its end.
_START, _END = 500, 3000
#: Marks of Markdown and LaTeX, and quotes, around a letter.
_MARKS = re.compile(r"\\boxed|\\text(?:bf)?|[*_`\"'“”‘’{}$]|</?answer>", re.IGNORECASE)
#: A reply or a line that is only a letter.
_BARE = re.compile(r"(?:option\s+|choice\s+)?[(\[]?([A-Za-z])[)\]]?[.):,;]*", re.IGNORECASE)
#: A letter, what follows it, and a text.
_BEFORE_TEXT = re.compile(
    r"(?:option\s+)?[(\[]?([A-Za-z])(?:[)\]][.:]?|[.:]|\s+[-–—])\s+(.+)", re.DOTALL | re.IGNORECASE
)
#: "The answer is B": a small letter counts only at the end, because "is a red door" is not option A.
_STATED = re.compile(
    r"(?i:\b(?:answer|option|choice|choose|pick|select)\b(?:\s+(?:is|would\s+be|must\s+be|option|letter|choice))*\s*[:=]?\s*)"
    r"(?:[(\[]([A-Za-z])[)\]]|([B-HJ-Z])(?![A-Za-z'])|([AI])(?![A-Za-z'])(?!\s+(?!(?:because|since|as)\b)[a-z]{2})|([a-z])(?=[.)\]]*\s*$)|([A-Z])(?=\s+(?:or|and)\b))",
    re.MULTILINE,
)
#: Two letters between which a reply does not decide.
_UNDECIDED = re.compile(
    r"(?<![A-Za-z])[(\[]?([A-Z])[)\].:]*\s*(?:,|/|&|\bor\b|\band\b)\s*(?:option\s+)?[(\[]?([A-Z])(?![A-Za-z'])"
)
#: A letter in brackets, or at the end of a sentence.
_BRACKETED = re.compile(r"\(([A-Z])\)")
_LAST = re.compile(r"(?<![A-Za-z'])([A-Z])[.)!]*\s*\Z")


@dataclass(frozen=True)
class Share:
    """Choice accuracy of some questions.

    Attributes:
        accuracy: Share of right choices, in 0…1; None without questions.
        chance: The same for random choices.
        always_same: The same for the best letter that is always chosen, which needs no image.
        unparsed: Number of replies that name no option, or more than one; they count as wrong.
        count: Number of questions.
    """

    accuracy: float | None
    chance: float | None
    always_same: float | None
    unparsed: int
    count: int


@dataclass(frozen=True)
class Choices(MetricResult):
    """Choice accuracy overall and by family.

    Attributes:
        accuracy: Share of right choices, in 0…1.
        chance: The same for random choices.
        always_same: The same for the best letter that is always chosen, which needs no image.
        unparsed: Number of replies that name no option, or more than one; they count as wrong.
        count: Number of questions.
        families: The same for each family.
    """

    accuracy: float | None
    chance: float | None
    always_same: float | None
    unparsed: int
    count: int
    families: dict[str, Share]

    def section(self, name: str) -> list[str]:
        """A table with one row per family."""
        overall = Share(self.accuracy, self.chance, self.always_same, self.unparsed, self.count)
        rows = [
            [
                row,
                str(one.count),
                percent(one.accuracy),
                percent(one.chance),
                percent(one.always_same),
                str(one.unparsed),
            ]
            for row, one in {ALL: overall, **self.families}.items()
        ]
        header = ["family", "questions", "accuracy", "chance", "always the same letter", "unparsed"]
        return ["## Multiple choice", "", *table(header, rows)]


def choices(questions: Questions, predictions: Sequence[Prediction]) -> Choices | None:
    """Choice accuracy; None if no question has options."""
    families: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        if prediction.question.options:
            families.setdefault(prediction.question.family, []).append(prediction)
    if not families:
        return None
    overall = _share([prediction for group in families.values() for prediction in group])
    by_family = {name: _share(families[name]) for name in sorted(families)}
    return Choices(**vars(overall), families=by_family)


def _share(group: Sequence[Prediction]) -> Share:
    count = len(group)
    return Share(
        accuracy=sum(bool(one.correct) for one in group) / count if count else None,
        chance=sum(1 / len(one.question.options) for one in group) / count if count else None,
        always_same=max(Counter(one.question.answer for one in group).values()) / count if count else None,
        unparsed=sum(chosen(one.text, one.question.options) is None for one in group),
        count=count,
    )


def chosen(reply: str, options: Sequence[str]) -> int | None:
    """The option that a reply names; None if it names none, or does not decide between several.

    In this order: the whole reply is a letter or the text of an option; the last "the answer is …"; the last line; the
    first line; a single letter in brackets; the text of a single option in the last line or the whole reply.

    Example:
        >>> options = ["a blue door", "a red door"]
        >>> [chosen(text, options) for text in ("B", "(b)", "**B.** a red door", "The answer is B", "A red door.")]
        [1, 1, 1, 1, 1]
        >>> [chosen(text, options) for text in ("A or B", "C", "I see no door")]
        [None, None, None]
    """
    if len(reply) > _START + _END:  # the patterns below take quadratic time
        reply = f"{reply[:_START]}\n{reply[-_END:]}"
    plain = _MARKS.sub(" ", unicodedata.normalize("NFKC", reply))
    lines = [" ".join(line.split()) for line in plain.splitlines() if line.strip()]
    if not lines:
        return None
    whole = same_text(reply, options)
    if whole is not None and _BARE.fullmatch(" ".join(lines)) is None:
        return whole
    bare = [found for found in map(_BARE.fullmatch, lines) if found is not None]
    if len(bare) == len(lines) and len({found[1].upper() for found in bare}) > 1:
        return None  # a list of letters
    text = "\n".join(lines)
    stated = list(_STATED.finditer(text))
    if stated:
        last = stated[-1]
        if _UNDECIDED.match(text, last.start(last.lastindex or 0)) is not None:
            return None
        return _place(text[last.start(last.lastindex or 0)], options)
    for line in dict.fromkeys((lines[-1], lines[0])):
        found = _of_line(line, options, is_last=line is lines[-1])
        if found is not None:
            return found if found >= 0 else None
    brackets = set(_BRACKETED.findall(text))
    if len(brackets) == 1:
        return _place(brackets.pop(), options)
    texts = _texts_in(lines[-1], options) or _texts_in(" ".join(lines), options)
    return texts.pop() if len(texts) == 1 else None


def _of_line(line: str, options: Sequence[str], *, is_last: bool) -> int | None:
    """The option that a line names; -1 if it does not decide between several, None if it names none."""
    bare = _BARE.fullmatch(line)
    if bare is not None:
        place = _place(bare[1], options)
        return -1 if place is None else place
    text = same_text(line, options)
    if text is not None:
        return text
    if _UNDECIDED.search(line) is not None:
        return -1
    before = _BEFORE_TEXT.fullmatch(line)
    if before is not None:
        place, other = _place(before[1], options), same_text(before[2], options)
        return -1 if place is None or other not in (None, place) else place
    word, _, rest = line.partition(" ")
    if len(word) == 1 and _place(word, options) is not None and same_text(rest, options) == _place(word, options):
        return _place(word, options)
    last = _LAST.search(line) if is_last else None
    return None if last is None else _place(last[1], options)


def _place(letter: str, options: Sequence[str]) -> int | None:
    place = ascii_uppercase.find(letter.upper())
    return place if 0 <= place < len(options) else None


def _texts_in(line: str, options: Sequence[str]) -> set[int]:
    """The options whose text is in a line, without those whose text is only a part of a longer one there."""
    rest, found = _words(line), set()
    for place in sorted(range(len(options)), key=lambda place: -len(options[place])):
        text = _words(options[place])
        pattern = rf"(?<!\w){re.escape(text)}(?!\w)"
        if text and re.search(pattern, rest):
            found.add(place)
            rest = re.sub(pattern, " ", rest)
    return found


def _words(text: str) -> str:
    return normalise(re.sub(r"[^\w\s%°.-]", " ", text))
