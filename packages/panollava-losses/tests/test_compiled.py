"""`torch.compile(fullgraph=True)` of the losses, in a process without the annotation checker."""

import subprocess
import sys
from pathlib import Path

import pytest

CASES = 11


@pytest.mark.parametrize("first", [3, pytest.param(CASES, marks=pytest.mark.slow)])
def test_no_graph_breaks(first):
    script = Path(__file__).with_name("compiled_cases.py")
    done = subprocess.run([sys.executable, script, str(first)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * (first + 1) + ["done"]
