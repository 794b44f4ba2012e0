"""A tutorial as a Jupyter notebook: text stays text, Python blocks and commands become cells.

Blocks that the block runner leaves out (`notest`) become cells too: they need something that tests lack, such as the
network, and a reader has it.
"""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.console_blocks import commands
from tools.site.pages import rewrite

_BLOCK = re.compile(r"^```(python|console)(?: \w+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def notebook(text: str, page_url: str) -> str:
    """The notebook of a page, as JSON.

    Args:
        text: The Markdown of the page, with links that hold in the site.
        page_url: Address of the page, for its links and images.
    """
    made = new_notebook(cells=list(_cells(_absolute(text, page_url))))
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"  # the same for the same page; nbformat draws random ones
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.validate(made)
    return nbformat.writes(made)


def _cells(text: str) -> Iterator[dict]:
    end = 0
    for block in _BLOCK.finditer(text):
        if before := text[end : block.start()].strip():
            yield new_markdown_cell(before)
        language, source = block.groups()
        lines = source.rstrip("\n") if language == "python" else "\n".join(_cell_line(c.line) for c in commands(source))
        yield new_code_cell(lines)
        end = block.end()
    if rest := text[end:].strip():
        yield new_markdown_cell(rest)


def _cell_line(command: str) -> str:
    """`%pip` installs into the notebook's own environment; all else is the shell's."""
    return f"%{command}" if command.startswith("pip install") else f"!{command}"


def _absolute(text: str, page_url: str) -> str:
    """The text with whole addresses, because a notebook is opened elsewhere."""

    def address(target: str) -> str:
        return urljoin(page_url, re.sub(r"(?:index)?\.md(?=#|$)", "/", target)) if "://" not in target else target

    return rewrite(text, address)
