"""YAML with comments, for people who will edit it."""

from collections.abc import Mapping
from typing import Any

import yaml

#: Columns of a line; a longer comment stands above its key.
_COLUMNS = 110


def commented_yaml(values: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """A mapping as YAML, each key on its own line, with comments.

    Args:
        values: Numbers, texts, truth values, None, lists of these, and mappings of all of them.
        comments: Comments by key, with dots.

    Example:
        >>> print(commented_yaml({"a": {"b": 0.00002, "c": "x: y"}}, {"a.b": "a rate"}), end="")
        a:
          b: 2.0e-05  # a rate
          c: 'x: y'
    """
    return "".join(f"{line}\n" for line in _lines(values, comments, ""))


def _lines(values: Mapping[str, Any], comments: Mapping[str, str], inside: str) -> list[str]:
    lines = []
    indent = "  " * (inside.count("."))
    for key, value in values.items():
        place = f"{inside}{key}"
        comment = comments.get(place)
        nested = isinstance(value, Mapping) and value
        text = f"{indent}{_scalar(key)}:" + ("" if nested else f" {_scalar(value)}")
        if comment is None:
            lines.append(text)
        elif len(text) + len(comment) + 4 <= _COLUMNS:
            lines.append(f"{text}  # {comment}")
        else:
            lines += [f"{indent}# {comment}", text]
        if nested:
            lines += _lines(value, comments, f"{place}.")
    return lines


def _scalar(value: Any) -> str:
    """A value on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=2**31, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
