"""torch.compile without graph breaks, and torch.export, from pixels to language-model tokens."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from panollava_core import RESAMPLERS

RESAMPLER_CASES = tuple(f"siglip-{kind}" for kind in sorted(RESAMPLERS.keys() - {"none"}))
CHECKPOINTED_CASES = ("checkpointed-qformer", "checkpointed-c_abstractor")
QUICK_CASES = (*RESAMPLER_CASES, *CHECKPOINTED_CASES, "fusion")
OTHER_CASES = ("resample", "drop", "siglip2", "clip", "dinov2")


@cache
def results(backend, *cases):
    """Run several cases in one process; with `fullgraph=True` a graph break is an error there."""
    script = Path(__file__).with_name("compiled_pipeline.py")
    command = [sys.executable, str(script), backend, *cases]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check(found):
    assert found["compile"] < 1e-4
    assert found["export"] < 1e-5


@pytest.mark.parametrize("case", RESAMPLER_CASES)
def test_compiles_in_one_graph_and_exports(case):
    check(results("aot_eager", *QUICK_CASES)[case])


@pytest.mark.parametrize("case", CHECKPOINTED_CASES)
def test_recomputed_blocks_compile_in_one_graph(case):
    assert results("aot_eager", *QUICK_CASES)[case]["compile"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHER_CASES)
def test_other_towers_and_stitching(case):
    check(results("aot_eager", *OTHER_CASES)[case])


def test_fusion_compiles_and_still_counts():
    found = results("aot_eager", *QUICK_CASES)["fusion"]
    assert found["compile"] == 0
    assert "Image features and image tokens do not match" in found["mismatch"]


@pytest.mark.slow
def test_inductor():
    check(results("inductor", "siglip-bimamba")["siglip-bimamba"])
