"""A small language for texts with alternatives: "(see|spot) {kind}[ please]".

`(a|b)` is one of the alternatives, `[a|b]` one of them or nothing, and `{name}` is a slot, whose patterns the caller
gives. A pattern can draw one of its texts, and it can be turned into a regular expression that matches all of them.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

_TOKENS = re.compile(r"[()|\[\]]|\{[a-z_0-9]+\}|[^()|\[\]{}]+")
_WORDS = re.compile(r"\w+(?:'\w+)*")


@dataclass(frozen=True)
class Slot:
    """A place that the caller fills."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of several alternatives."""

    options: tuple["Pattern", ...]


Pattern = tuple["str | Slot | Choice", ...]
#: The alternatives for each slot, as texts of the small language.
Slots = Mapping[str, Sequence[str]]


@functools.cache
def parse_pattern(text: str) -> Pattern:
    """Parse a text of the small language.

    Raises:
        ValueError: A bracket has no partner.

    Example:
        >>> draw_text("(see|see)[ it| it]{end}", {"end": ("?",)}, Random(1)) in ("see it?", "see?")
        True
    """
    tokens = _TOKENS.findall(text)
    pattern, rest = _sequence(tokens)
    if rest or "".join(tokens) != text:
        raise ValueError(f"{text!r}: a bracket has no partner")
    return pattern


def _sequence(tokens: list[str]) -> tuple[Pattern, list[str]]:
    parts: list[str | Slot | Choice] = []
    while tokens and tokens[0] not in "|)]":
        token, *tokens = tokens
        if token in "([":
            options: list[Pattern] = [()] if token == "[" else []
            closing = ")" if token == "(" else "]"
            while True:
                option, tokens = _sequence(tokens)
                options.append(option)
                if not tokens:
                    raise ValueError(f"a {token!r} has no partner")
                mark, *tokens = tokens
                if mark == closing:
                    break
                if mark != "|":
                    raise ValueError(f"a {token!r} is closed by {mark!r}")
            parts.append(Choice(tuple(options)))
        elif token.startswith("{"):
            parts.append(Slot(token[1:-1]))
        else:
            parts.append(token)
    return tuple(parts), tokens


def pick(rng: Random, options: Sequence[str]) -> str:
    """One of the options. The same generator gives the same one in every version of Python."""
    return options[int(rng.random() * len(options))]


def draw_text(pattern: str, slots: Slots, rng: Random) -> str:
    """Draw one of the texts of a pattern."""
    drawn: list[str] = []
    _draw(parse_pattern(pattern), slots, rng.random, drawn.append)
    return "".join(drawn)


def _draw(pattern: Pattern, slots: Slots, random: Callable[[], float], add: Callable[[str], None]) -> None:
    for part in pattern:
        if isinstance(part, str):
            add(part)
            continue
        if isinstance(part, Slot):
            options = slots[part.name]
            chosen = parse_pattern(options[int(random() * len(options))])
        else:
            choices = part.options
            chosen = choices[int(random() * len(choices))]
        if len(chosen) == 1 and isinstance(chosen[0], str):
            add(chosen[0])  # most parts are plain texts
        elif chosen:
            _draw(chosen, slots, random, add)


def pattern_regex(pattern: str, slots: Slots) -> str:
    """A regular expression for the texts of a pattern after `normalised`."""
    return _regex(parse_pattern(pattern), slots)


def _regex(pattern: Pattern, slots: Slots) -> str:
    found = []
    for part in pattern:
        if isinstance(part, str):
            # Words are separated by any number of spaces, because an alternative may be empty.
            found.append(r"\s*".join(re.escape(piece) for piece in re.split(r"\W+", part.lower().replace("'", ""))))
        else:
            drawn = part.options if isinstance(part, Choice) else map(parse_pattern, slots[part.name])
            options = dict.fromkeys(drawn)  # the usual ones may stand several times
            found.append(f"(?:{'|'.join(_regex(option, slots) for option in options)})")
    return r"\s*".join(found)


def normalised(text: str) -> str:
    """A text in lower case without punctuation, for comparisons.

    Example:
        >>> normalised("What's  behind me?")
        'whats behind me'
    """
    words = re.sub(r"[^\w\s]", " ", text.lower().replace("'", "").replace("’", "")).split()
    return " ".join("a" if word == "an" else word for word in words)


def pattern_words(texts: Iterable[str]) -> set[str]:
    """All words in the texts of patterns, in lower case; what fills their slots has to be given too.

    A word must not be divided between parts of a pattern.
    """
    return {word for text in set(texts) for word in _words(parse_pattern(text))}


def _words(pattern: Pattern) -> Iterator[str]:
    for part in pattern:
        if isinstance(part, str):
            yield from _WORDS.findall(part.lower())
        elif isinstance(part, Choice):
            for option in part.options:
                yield from _words(option)
