import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"


def run(name, tmp_path):
    if not EXAMPLES.is_dir():
        pytest.skip("the tests stand away from the checkout")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_generate(tmp_path):
    assert run("generate.py", tmp_path).strip() == "back"  # across the seam


def test_extract_features(tmp_path):
    lines = run("extract_features.py", tmp_path).splitlines()
    assert [line.split(":")[0] for line in lines] == ["0", "1"]
    assert lines[0].endswith("1.0000")


def test_vicreg_lowers_its_loss(tmp_path):
    losses = [float(value) for value in re.findall(r"loss ([\d.]+)", run("vicreg.py", tmp_path))]
    assert len(losses) == 8
    assert losses[-1] < losses[0]
