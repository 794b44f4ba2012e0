"""Imported once by the server process that the workers are forked from: the library, and what it imports late."""

import contextlib
import io
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import datasets
import peft  # noqa: F401
import torch
from PIL import Image
from transformers.utils import logging

torch.set_num_threads(1)
datasets.disable_progress_bars()
logging.disable_progress_bar()
Image.init()


def _once() -> None:
    """One answer, so that the modules that are imported late are there."""
    from panollava_hf.cli import run

    quiet = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        path = Path(folder) / "x.png"
        Image.new("RGB", (64, 32)).save(path)
        run(["ask", str(path), "What is ahead?", "--max-new-tokens", "1"])


_once()
