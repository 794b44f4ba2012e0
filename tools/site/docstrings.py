"""A griffe extension: docstrings as this repository writes them.

Examples stand under `Example:`, which griffe takes for a note with a title; it reads the doctests of `Examples:`. An
example without a heading gets one.
"""

import re
from typing import Any

import griffe

_HEADING = re.compile(r"^Example:$", re.MULTILINE)


class ExamplesExtension(griffe.Extension):
    """Change each docstring before it is parsed."""

    def on_instance(self, *, node: Any, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for each module, class, function and attribute that was read."""
        if obj.docstring:
            obj.docstring.value = with_examples(obj.docstring.value)


def with_examples(text: str) -> str:
    r"""A docstring whose doctests stand under the heading `Examples:`.

    >>> with_examples("One.\n\n>>> 1 + 0\n1")
    'One.\n\nExamples:\n    >>> 1 + 0\n    1'
    """
    lines, made, inside = _HEADING.sub("Examples:", text).split("\n"), [], False
    for line in lines:
        if line.startswith(">>>") and not inside:
            made.append("Examples:")
            inside = True
        elif inside and not line.strip():
            inside = False
        made.append(f"    {line}" if inside else line)
    return "\n".join(made)
