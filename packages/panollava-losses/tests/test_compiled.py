"""`torch.compile(fullgraph=True)` of every loss, in a process without the annotation checker."""

import subprocess
import sys
from pathlib import Path


def test_no_graph_breaks():
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("compiled_cases.py"))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines()[-1].startswith("done")
