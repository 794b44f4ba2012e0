"""Pytest plugin that runs the `python` blocks of Markdown files: `pytest -p tools.markdown_blocks README.md docs`.

The blocks of one file share a namespace and run in a folder of their own that holds the pictures of `docs/assets` under
their paths in the repository, and the sample panorama as `panorama.jpg` too. A block opened with ```python notest is
only shown; such a block needs something that a test run must not have, such as the network.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).resolve().parents[1]
ASSETS = Path("docs/assets")


def enter_folder(namespace: dict[str, Any]) -> None:
    """Make a fresh folder with the pictures and go there."""
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


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    path=ROOT.anchor,  # whatever pytest is pointed at
    patterns=["*.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()
