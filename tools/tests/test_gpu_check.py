"""The checks for a GPU run on the CPU, and one that fails is reported."""

import json

import pytest
import torch

from tools.gpu_check import __main__ as gpu_check
from tools.gpu_check import harness


@pytest.mark.slow
def test_every_check_but_compilation_runs_on_the_cpu(tmp_path, capsys):
    names = [name for name in gpu_check.CHECKS if name != "compiled"]  # takes as long as all others
    chosen = [word for name in names for word in ("--only", name)]
    assert gpu_check.main(["--device", "cpu", "--small", "--json", str(tmp_path / "out.json"), *chosen]) == 0
    written = json.loads((tmp_path / "out.json").read_text())
    assert [check["name"] for check in written["checks"]] == names
    assert {check["state"] for check in written["checks"]} == {"right"}
    assert written["machine"]["torch"] == torch.__version__
    assert capsys.readouterr().out.count("right  ") == len(names)


def wrong(bench):
    harness.require(False, "the figure is wrong")


def broken(bench):
    raise RuntimeError("no such kernel")


def fine(bench):
    return {"figure": 1.0}


def test_a_failure_is_reported_and_the_others_run():
    bench = harness.Bench(torch.device("cpu"), small=True)
    outcomes = harness.run([("a", wrong), ("b", broken), ("c", fine)], bench)
    assert [outcome.state for outcome in outcomes] == ["wrong", "failed", "right"]
    assert outcomes[0].message == "the figure is wrong"
    assert "no such kernel" in outcomes[1].message


def test_no_check_begins_after_the_limit():
    bench = harness.Bench(torch.device("cpu"), small=True)
    assert harness.run([("c", fine)], bench, limit=0.0)[0].state == "not run"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_how_to_try_the_checks(capsys):
    with pytest.raises(SystemExit) as stopped:
        gpu_check.main([])
    assert stopped.value.code == 2
    assert "finds no CUDA device; try the checks with --device cpu --small" in capsys.readouterr().err
