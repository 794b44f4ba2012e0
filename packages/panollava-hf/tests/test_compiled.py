"""`torch.compile(fullgraph=True)` and `torch.export` of whole models, in a process without the annotation checker."""

import subprocess
import sys
from pathlib import Path

import pytest

OTHERS = ("qformer", "bimamba", "perceiver", "spatial_pool", "c_abstractor")


@pytest.mark.parametrize("resampler", ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_whole_models_are_one_graph(resampler):
    script = Path(__file__).with_name("compiled_cases.py")
    result = subprocess.run([sys.executable, script, resampler], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(result.stdout.split()) == 3
