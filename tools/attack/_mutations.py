"""Changes to bytes, texts and trees of plain values. All randomness comes from the generator that is passed in.

Only `random`, `randrange`, `choice` and `shuffle` are used, which hypothesis can drive and shrink.
"""

import copy
import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

TEXTS = (
    *("", " ", "\0", "\n", "\r\n", "\u2028", "\x85", "\ufeff", "None", "nan", "true", "-1", "1e999", "9" * 400),
    *("../../etc/passwd", "/dev/zero", "~", "[/bold]", "{{7*7}}", "%s%n", "a" * 70_000, "<|vision|>", "<|im_end|>"),
    *(
        "---\nlicense: mit\n---",
        "```\n# x",
        "\x1b[31mred",
        "é",
        "e\u0301",
        "파노라마",
        "🙂",
        '"',
        "'",
        "\\",
        ",",
        ";",
        "\ud800",
    ),
)
NUMBERS = (
    *(0, -1, 1, 2, 0.5, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, 10**7, 10**9, 10**30),
    *(1e-300, 1e308, 1e-7, 0.99999999, math.inf, -math.inf, math.nan),
)


def _deep(_: Random) -> Any:
    value: Any = 0
    for _ in range(300):
        value = [value]
    return value


VALUES: tuple[Callable[[Random], Any], ...] = (
    lambda rng: None,
    lambda rng: rng.choice((True, False)),
    lambda rng: rng.choice(NUMBERS),
    lambda rng: rng.choice(NUMBERS),
    lambda rng: rng.choice(TEXTS),
    lambda rng: rng.choice(TEXTS),
    lambda rng: [],
    lambda rng: {},
    lambda rng: [rng.choice(NUMBERS)] * rng.choice((1, 2, 3, 1000)),
    lambda rng: {rng.choice(TEXTS): rng.choice(NUMBERS)},
    _deep,
)


def value(rng: Random) -> Any:
    """A plain value of any type."""
    return rng.choice(VALUES)(rng)


def mutate_bytes(rng: Random, data: bytes, most: int = 4) -> bytes:
    """Up to `most` changes of bytes: flips, inserted, removed, repeated and overwritten ranges, a cut."""
    found = bytearray(data)
    for _ in range(rng.randrange(1, most + 1)):
        if not found:
            return bytes(found)
        place = rng.randrange(len(found))
        length = min(rng.choice((1, 2, 4, 8, 64, 500)), len(found) - place)
        what = rng.randrange(8)
        if what <= 1:
            found[place] ^= 1 << rng.randrange(8)
        elif what == 2:
            found[place : place + length] = bytes([rng.choice((0, 0xFF, 0x7F, 0x80))]) * length
        elif what == 3:
            del found[place : place + length]
        elif what == 4:
            found[place:place] = found[place : place + length] * rng.choice((1, 2, 50))
        elif what == 5:
            found[place:place] = bytes(rng.randrange(256) for _ in range(min(length, 8)))
        elif what == 6:
            number = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
            found[place : place + 4] = number.to_bytes(4, rng.choice(("big", "little")))
        else:
            del found[rng.choice((place, len(found) - 1, min(100, len(found) - 1))) :]
    return bytes(found)


def mutate_text(rng: Random, text: str, most: int = 3) -> str:
    """Up to `most` changes of lines and characters."""
    for _ in range(rng.randrange(1, most + 1)):
        lines = text.split("\n")
        place, at = rng.randrange(len(lines)), rng.randrange(len(text) + 1)
        what = rng.randrange(7)
        if what == 0:
            lines.insert(place, lines[rng.randrange(len(lines))])
        elif what == 1:
            lines[place] = lines[place] * rng.choice((0, 2, 100))
        elif what == 2:
            lines.insert(place, rng.choice(TEXTS))
        if what <= 2:
            text = "\n".join(lines)
        elif what == 3:
            text = text[:at] + rng.choice(TEXTS) + text[at:]
        elif what == 4:
            text = text[:at] + text[at + rng.choice((1, 5, 40)) :]
        elif what == 5:
            text = (
                text[:at] + rng.choice(('"', ",", "\t", ":", "- ", "{", "[", "&a ", "*a", "\r", "#", "|")) + text[at:]
            )
        else:
            text = text[:at]
    return text


def encode(rng: Random, text: str) -> bytes:
    """Bytes of a text, mostly in UTF-8."""
    coding = rng.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16", "latin-1", "cp1252"))
    errors = "surrogatepass" if coding.startswith("utf") else "replace"
    return text.encode(coding, errors)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
        for key in keys:
            found.append((node, key))
            todo.append(node[key])
    return found


def mutate_tree(rng: Random, tree: Any, most: int = 3) -> Any:
    """Up to `most` changes of the values, keys and types of a tree of dictionaries and lists."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randrange(1, most + 1)):
        places = _places(tree)
        if not places or rng.random() < 0.02:
            return value(rng)
        node, key = rng.choice(places)
        what = rng.randrange(8)
        if what <= 3:
            node[key] = value(rng)
        elif what == 4:
            del node[key]
        elif what == 5:
            node[key] = [node[key]] if rng.random() < 0.5 else {str(key): node[key]}
        elif what == 6 and isinstance(node, dict):
            node[rng.choice((*TEXTS, str(key).upper(), f"{key} "))] = node[key]
        elif isinstance(node[key], int | float) and not isinstance(node[key], bool):
            node[key] = rng.choice((str(node[key]), -node[key], node[key] * 10**9, rng.choice(NUMBERS)))
        else:
            node[key] = rng.choice(TEXTS)
    return tree


def json_bytes(rng: Random, tree: Any, *, line: bool = False) -> bytes:
    """JSON of a tree, now and then damaged as a text, or nested far too deep; as one line of JSONL on request."""
    what = rng.randrange(40)
    if what == 0:
        return rng.choice((b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000))
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5, indent=None if line else rng.choice((None, 1)))
    if what < 4:
        text = mutate_text(rng, text, 1)
    return encode(rng, text) if what < 6 else text.encode("utf-8", "surrogatepass")
