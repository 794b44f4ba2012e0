"""Pytest plugin: runs the `python` blocks of Markdown files: `pytest -p tools.markdown_blocks README.md docs`.

The blocks of one file share a namespace and run in a temporary folder that contains the images of `docs/assets` under
their paths in the repository, and the sample panorama as `panorama.jpg`. A block that starts with ```python notest is
not run; it needs something that tests must not use, such as the network.
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


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    path=ROOT.anchor,  # whatever pytest is pointed at
    patterns=["*.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()
