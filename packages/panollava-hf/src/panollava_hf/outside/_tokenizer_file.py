"""tokenizer.json before the tokenizers library reads it: some contents would end the process there.

That library allocates what the file asks for, and a failed allocation in it cannot be caught in Python.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panollava_hf._errors import ModelError
from panollava_hf.outside._json_file import TOKENIZER_BYTES, read_object

#: How many times longer the rules of a tokenizer may make a text. Usual rules keep its length.
MAX_GROWTH = 10_000
#: Largest number of tokens that a text may be padded to.
MAX_PADDING = 10_000_000


def check_tokenizer(path: Path) -> None:
    """Check a tokenizer.json.

    Raises:
        ModelError: It is damaged, or its rules would make texts longer than memory allows.
    """
    content = read_object(path, TOKENIZER_BYTES)
    growth = math.prod(map(_growth, _rules({name: content.get(name) for name in ("normalizer", "decoder")})))
    if growth > MAX_GROWTH:
        raise ModelError(
            f"{path}: its Replace and Prepend rules make texts {growth:.0e} times longer; use another file"
        )
    padding = content.get("padding")
    if isinstance(padding, dict):
        strategy = padding.get("strategy")
        sizes = [strategy.get("Fixed") if isinstance(strategy, dict) else None, padding.get("pad_to_multiple_of")]
        if any(isinstance(size, (int, float)) and size > MAX_PADDING for size in sizes):
            raise ModelError(f"{path}: it pads texts to more than {MAX_PADDING:,} tokens; use another file")


def _rules(content: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a part of the file."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _growth(rule: dict[str, Any]) -> float:
    """How many times longer one rule may make a text."""
    if rule.get("type") == "Prepend":
        return 1.0 + len(str(rule.get("prepend", "")))
    if rule.get("type") != "Replace":
        return 1.0
    pattern, content = rule.get("pattern"), str(rule.get("content", ""))
    literal = pattern.get("String") if isinstance(pattern, dict) else None
    if isinstance(literal, str) and literal:
        return max(1.0, len(content) / len(literal))
    return max(1.0, len(content) + _matches_nothing(pattern.get("Regex") if isinstance(pattern, dict) else None))


def _matches_nothing(pattern: Any) -> bool:
    """Whether a regular expression also matches between two characters; True if Python cannot read it."""
    try:
        return re.match(pattern, "") is not None
    except (re.error, TypeError, RecursionError, OverflowError):
        return True
