"""`torch.compile(fullgraph=True)` and `torch.export` of whole models, in a process without the annotation checker."""

import subprocess
import sys
from pathlib import Path

import pytest

OTHERS = ("mlp", "resnet", "swin", "qformer", "bimamba", "perceiver", "spatial_pool", "c_abstractor")


@pytest.mark.parametrize("name", ["embedded", *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)])
def test_whole_models_are_one_graph(name):
    script = Path(__file__).with_name("compiled_cases.py")
    result = subprocess.run([sys.executable, script, name], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(result.stdout.split()) == 3
