"""How people write English in a hurry, or as a second language: abbreviations, and no articles."""

import re
from random import Random

_SHORT = {
    "you": "u",
    "your": "ur",
    "are": "r",
    "please": "pls plz",
    "thanks": "thx tnx",
    "thank you": "ty thx",
    "what": "wat wut",
    "what is": "whats wats",
    "where is": "wheres",
    "there is": "theres",
    "and": "n nd",
    "that": "dat tht",
    "this": "dis",
    "with": "w",
    "about": "abt",
    "between": "btwn",
    "around": "arnd",
    "something": "smth sth",
    "picture": "pic",
    "object": "obj",
    "objects": "objs",
    "through": "thru",
    "give me": "gimme",
    "let me": "lemme",
    "want to": "wanna",
    "going to": "gonna",
    "kind of": "kinda",
    "sort of": "sorta",
    "don't know": "dunno",
    "i am": "im",
    "color": "clr color",
    "how many": "hw many",
}
_LONG = re.compile(rf"\b(?:{'|'.join(sorted(_SHORT, key=len, reverse=True))})\b", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(?:the|an?) (?=\w)", re.IGNORECASE)

#: The words that `abbreviated` puts into a text.
ABBREVIATIONS = tuple(word for words in _SHORT.values() for word in words.split())


def abbreviated(text: str, rng: Random) -> str:
    """A text as in a chat.

    Example:
        >>> abbreviated("What is behind you, please?", Random(0))
        'wats behind u, pls?'
    """

    def short(found: re.Match[str]) -> str:
        words = _SHORT[found.group().lower()].split()
        return words[int(rng.random() * len(words))]

    return _LONG.sub(short, text)


def without_articles(text: str) -> str:
    """A text without "the" and "a".

    Example:
        >>> without_articles("Is the cube left of a ring?")
        'Is cube left of ring?'
    """
    return _ARTICLE.sub("", text)
