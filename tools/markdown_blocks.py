"""Pytest plugin: runs the `python` blocks of Markdown files: `pytest -p tools.markdown_blocks README.md docs`.

In pages of a folder `tutorials`, the `console` blocks are run too (tools/console_blocks.py), and a `text` block is what
the Python block before it prints, with `...` for anything.

The blocks of one file share a namespace and run in a temporary folder that contains the images of `docs/assets` under
their paths in the repository, and the sample panorama as `panorama.jpg`. A block that starts with ```python notest or
```console notest is not run; it needs something that tests must not use, such as the network.
"""

import io
import os
import shutil
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from tools.console_blocks import as_announced, run_block

ROOT = Path(__file__).resolve().parents[1]
ASSETS = Path("docs/assets")


def enter_folder(namespace: dict[str, Any]) -> None:
    """Create a temporary folder with the images and change to it."""
    folder = Path(tempfile.mkdtemp(prefix="markdown-blocks-"))
    namespace["__name__"] = "__main__"
    namespace["_left"], namespace["_folder"] = Path.cwd(), folder
    shutil.copytree(ROOT / ASSETS, folder / ASSETS)
    shutil.copy(ROOT / ASSETS / "sample-panorama.jpg", folder / "panorama.jpg")
    os.chdir(folder)


def leave_folder(namespace: dict[str, Any]) -> None:
    """Go back and remove the folder."""
    os.chdir(namespace["_left"])
    shutil.rmtree(namespace["_folder"])


def run_python(example: Example) -> None:
    """Run a Python block and keep what it prints."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            PythonEvaluator()(example)
    finally:
        print(printed.getvalue(), end="")
    example.namespace["_printed"] = printed.getvalue()


def compare_printed(example: Example) -> str | None:
    """Compare a `text` block with what the Python block before it printed."""
    printed = example.namespace.get("_printed", "")
    return None if as_announced(example.parsed, printed) else f"expected the output\n{example.parsed}but:\n{printed}"


def blocks(patterns: list[str], excludes: list[str], *parsers: Any) -> Sybil:
    """What runs the blocks of the pages that fit one of the patterns and none of the exceptions."""
    return Sybil(
        parsers=list(parsers),
        path=ROOT.anchor,  # whatever pytest is pointed at
        patterns=patterns,
        excludes=excludes,
        setup=enter_folder,
        teardown=leave_folder,
    )


TUTORIALS = "**/tutorials/*.md"
_pages = blocks(["**/*.md"], [TUTORIALS], PythonCodeBlockParser())
_tutorials = blocks(
    [TUTORIALS],
    [],
    CodeBlockParser("python", run_python),
    CodeBlockParser("text", compare_printed),
    CodeBlockParser("console", run_block),
)

pytest_collect_file = (_pages + _tutorials).pytest()
