"""torch.compile without graph breaks, and torch.export, from pixels to language-model tokens."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from panollava_core import RESAMPLERS

RESAMPLER_CASES = tuple(f"siglip-{kind}" for kind in sorted(RESAMPLERS))
OTHER_CASES = ("resample", "drop", "siglip2", "clip", "dinov2")


@cache
def results(backend, *cases):
    """Several cases in one process: `fullgraph=True` makes a graph break an error there."""
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
    check(results("aot_eager", *RESAMPLER_CASES, "fusion")[case])


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHER_CASES)
def test_other_towers_and_stitching(case):
    check(results("aot_eager", *OTHER_CASES)[case])


def test_fusion_compiles_and_still_counts():
    found = results("aot_eager", *RESAMPLER_CASES, "fusion")["fusion"]
    assert found["compile"] == 0
    assert "Image features and image tokens do not match" in found["mismatch"]


@pytest.mark.slow
def test_inductor():
    check(results("inductor", "siglip-bimamba")["siglip-bimamba"])
