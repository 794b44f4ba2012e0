"""The messages that a page quotes, and whether a library's sources contain them.

Each line of a ```text block is one message. `…` in it stands for what the program fills in, or for text that the page
leaves out; all other characters must be those of the source. A message is ours unless the line before the block is
"A message of NAME:", with the name of another library.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Quote", "is_written", "quotes", "templates"]

#: What a program fills in, inside a message. No source has this character.
HOLE = "\0"
#: Fewest letters that a quote must share with the source; fewer would be found anywhere.
LEAST = 15
_OTHER = re.compile(r"A message of (\w+):")
_FENCE = re.compile(r"^```(\w*)")


@dataclass(frozen=True)
class Quote:
    """A message that a page quotes: its line in the page, its text, and the library if it is not one of ours."""

    line: int
    text: str
    library: str | None


def quotes(page: str) -> Iterator[Quote]:
    r"""The messages that a page quotes.

    >>> [(quote.text, quote.library) for quote in quotes("A message of torch:\n\n```text\nno …\n```\n")]
    [('no …', 'torch')]
    """
    library, inside = None, None
    for number, line in enumerate(page.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence:
            inside = fence[1] if inside is None else None
            library = None if inside is None else library
        elif inside == "text":
            yield Quote(number, line, library)
        elif inside is None and line.strip():
            other = _OTHER.fullmatch(line.strip())
            library = other[1] if other else None


def is_written(quote: Quote, known: Iterable[str]) -> bool:
    """Whether one of the templates is the quoted message.

    Raises:
        ValueError: The quote has too little text to be recognised.

    >>> is_written(Quote(1, "the file … does not exist", None), templates(['f"the file {name} does not exist"']))
    True
    >>> is_written(Quote(1, "the file … is not there", None), templates(['f"the file {name} does not exist"']))
    False
    """
    if len(quote.text.replace("…", "").replace(" ", "")) < LEAST:
        raise ValueError(f"line {quote.line}: {quote.text!r} has too little text of the message; quote more of it")
    parts = quote.text.split("…")
    pattern = re.compile(r"[\s\S]*?".join(map(re.escape, parts)))
    near = (template for template in known if all(part in template for part in parts))  # much faster than the pattern
    return any(pattern.fullmatch(template) for template in near)


def templates(sources: Iterable[str]) -> set[str]:
    """The string literals and f-strings of a library, with `HOLE` for each part that is filled in.

    Constants of modules that an f-string contains (`{REMEDY}`) are filled in.

    >>> sorted(text.replace(HOLE, "…") for text in templates(['END = "bye"', 'f"hello {you}" f", {END}"']))
    ['bye', 'hello …, bye']
    """
    trees = [ast.parse(source) for source in sources]
    own = [_constants(tree) for tree in trees]
    found: dict[str, set[str]] = {}
    for constants in own:
        for name, value in constants.items():
            found.setdefault(name, set()).add(value)
    everywhere = {name: next(iter(values)) for name, values in found.items() if len(values) == 1}
    known = (everywhere | constants for constants in own)
    return {text for tree, names in zip(trees, known, strict=True) for text in _texts(tree, names)}


def _constants(tree: ast.Module) -> dict[str, str]:
    """The texts that are assigned to names at the top of a module."""
    return {
        target.id: text
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and (text := _template(node.value, {})) is not None
    }


def _texts(node: ast.AST, names: Mapping[str, str]) -> Iterator[str]:
    """All texts in a tree, each as a whole: not the constant parts of an f-string."""
    text = _template(node, names)
    if text is not None:
        yield text
    for child in _inside(node) if text is not None else ast.iter_child_nodes(node):
        yield from _texts(child, names)


def _inside(text: ast.AST) -> Iterator[ast.AST]:
    """The expressions in a text that are filled in."""
    match text:
        case ast.JoinedStr(values=parts):
            yield from (part.value for part in parts if isinstance(part, ast.FormattedValue))
        case ast.BinOp(left=left, right=right):
            for side in (left, right):
                yield from [side] if _template(side, {}) is None else _inside(side)


def _template(node: ast.AST, names: Mapping[str, str]) -> str | None:
    """The text of an expression; None if it is not one."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_part(part, names) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            texts = [_template(side, names) for side in (left, right)]
            return None if texts == [None, None] else "".join(HOLE if text is None else text for text in texts)
    return None


def _part(part: ast.AST, names: Mapping[str, str]) -> str:
    match part:
        case ast.FormattedValue(value=ast.Name(id=name)) if name in names:
            return names[name]
        case ast.FormattedValue():
            return HOLE
    return _template(part, names) or ""


def python_files(folder: Path, words: Iterable[str] = ()) -> list[str]:
    """The Python files below a folder that contain all of some words."""
    found = (path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")))
    needed = tuple(words)
    return [text for text in found if all(word in text for word in needed)]
