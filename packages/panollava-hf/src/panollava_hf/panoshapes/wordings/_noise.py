"""How people type English: letters in lower case, missing punctuation, and typing errors."""

import re
from random import Random

from panollava_hf.panoshapes.wordings._english_habits import abbreviated, without_articles

_NEIGHBOURS = {
    key: near
    for row, above, below in (
        ("qwertyuiop", "", "asdfghjkl"),
        ("asdfghjkl", "qwertyuiop", "zxcvbnm"),
        ("zxcvbnm", "asdfghjkl", ""),
    )
    for place, key in enumerate(row)
    for near in [
        "".join(
            [
                row[max(place - 1, 0) : place],
                row[place + 1 : place + 2],
                above[place : place + 2],
                below[max(place - 1, 0) : place + 1],
            ]
        )
    ]
}
_LONG_WORD = re.compile(r"[A-Za-z]{4,}")
_TYPING_ERROR, _LOWER, _UPPER, _NO_END, _OTHER_END, _NO_COMMA, _NO_APOSTROPHE = 0.1, 0.35, 0.03, 0.35, 0.08, 0.4, 0.3
_CONTRACTED = 0.15
_ABBREVIATED, _NO_ARTICLES = 0.05, 0.07  # in English


def roughen(text: str, rng: Random) -> str:
    """Change a text as careless typing does."""
    if rng.random() < _CONTRACTED:
        text = re.sub(r"^(What|Where|Which|Who|How) is\b", r"\1's", text)
        text = re.sub(r"\bI would\b", "I'd", text)
    if text.isascii():
        text = _hurried(text, rng)
    if rng.random() < _NO_APOSTROPHE:
        text = text.replace("'", pick_apostrophe(rng))
    if rng.random() < _NO_COMMA:
        text = re.sub(r"[,;:]", "", text)
    if rng.random() < _NO_END:
        text = text.rstrip("?.")
    elif rng.random() < _OTHER_END:
        text = text.rstrip("?.") + ("??", " ?", "!", "...", ".", "?!", "??? ", "  ")[int(8 * rng.random())]
    if rng.random() < _TYPING_ERROR:
        text = with_typing_error(text, rng)
    if rng.random() < _LOWER:
        text = text.lower()
    elif rng.random() < _UPPER:
        text = text.upper()
    return text.strip()


def _hurried(text: str, rng: Random) -> str:
    chance = rng.random()
    if chance < _ABBREVIATED:
        return abbreviated(text, rng)
    return without_articles(text) if chance < _ABBREVIATED + _NO_ARTICLES else text


def pick_apostrophe(rng: Random) -> str:
    """What stands for an apostrophe: nothing or the typographic one."""
    return "" if rng.random() < 0.7 else "’"


def with_typing_error(text: str, rng: Random) -> str:
    """A text with one error in one word of at least four letters: two letters swapped, or one lost, doubled, wrong."""
    words = list(_LONG_WORD.finditer(text))
    if not words:
        return text
    word = words[int(rng.random() * len(words))]
    letters, kind = word.group(), int(4 * rng.random())
    place = int(rng.random() * (len(letters) - 1))
    if kind == 0:
        changed = letters[:place] + letters[place + 1] + letters[place] + letters[place + 2 :]
    elif kind == 1:
        changed = letters[: place + 1] + letters[place + 2 :]
    elif kind == 2:
        changed = letters[:place] + letters[place] + letters[place:]
    else:
        near = _NEIGHBOURS[letters[place + 1].lower()]
        changed = letters[: place + 1] + near[int(rng.random() * len(near))] + letters[place + 2 :]
    return text[: word.start()] + changed + text[word.end() :]
