"""Two gloo processes with a part of the batch each give the loss and gradients of one process with all of it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from panollava_losses import vicreg

SCRIPT = Path(__file__).with_name("distributed_cases.py")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
#: Pairs and panoramas of each rank: two halves, and two unequal parts.
SPLITS = {"halves": ((4, 4), (2, 2)), "unequal": ((2, 5), (1, 3))}


@pytest.fixture(scope="module")
def cases():
    spec = importlib.util.spec_from_file_location("distributed_cases", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=SPLITS)
def runs(request, tmp_path_factory):
    """The inputs of each rank, and what two processes made of them."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("ranks")
    inputs = []
    for rank, (pairs, panoramas) in enumerate(zip(*SPLITS[request.param], strict=True)):
        x = torch.randn(pairs, 9, 6) * (1 + rank) + rank  # the ranks' means and variances differ
        weight = torch.rand(pairs, 9) * (torch.rand(pairs, 9) < 0.7)
        weight[:, :2] += 0.1
        inputs.append(
            {
                "x": x,
                "y": 0.5 * x + torch.randn(pairs, 9, 6),
                "weight": weight,
                "features": torch.randn(panoramas, 4, 3, 4, 8) + rank,
            }
        )
        torch.save(inputs[-1], folder / f"inputs{rank}.pt")
    processes = [
        subprocess.Popen([sys.executable, SCRIPT, str(rank), "2", folder], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-3000:]
    return inputs, [torch.load(folder / f"results{rank}.pt") for rank in range(2)]


FUNCTIONS = [
    f"{name}{weighted}"
    for name in ("vicreg pairwise", "vicreg batchwise", "vicreg batchwise unbiased", "info_nce pair", "info_nce batch")
    for weighted in ("", ", weighted")
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loss_and_gradients_are_those_of_the_whole_batch(name, runs, cases):
    inputs, results = runs
    whole = {key: torch.cat([part[key] for part in inputs]) for key in ("x", "y", "weight")}
    weight = whole["weight"] if name.endswith("weighted") else None
    loss, *gradients = cases.function_case(name.removesuffix(", weighted"), whole["x"], whole["y"], weight, False)
    for result in results:
        torch.testing.assert_close(result[name][0], loss, **CLOSE)
    for side, gradient in enumerate(gradients, start=1):
        parts = torch.cat([result[name][side] for result in results])
        torch.testing.assert_close(parts / 2, gradient, **CLOSE)  # data-parallel training averages over the ranks


@pytest.mark.parametrize("name", ["pairwise", "batchwise", "info_nce"])
def test_parameters_get_the_gradient_of_the_whole_batch(name, runs, cases):
    inputs, results = runs
    expected = cases.module_case(name, torch.cat([part["features"] for part in inputs]), False)
    for result in results:
        torch.testing.assert_close(result[name], expected, **CLOSE)


def test_second_derivative_of_info_nce_is_that_of_the_whole_batch(runs, cases):
    """Each rank's gradient is twice that of the whole batch, so the derivative of its square is four times."""
    inputs, results = runs
    x, y = (torch.cat([part[name] for part in inputs]) for name in ("x", "y"))
    expected = cases.penalty_case(x, y, False)
    got = torch.cat([result["penalty"] for result in results])
    torch.testing.assert_close(got / 4, expected, rtol=1e-4, atol=1e-7)


def test_second_derivative_of_batchwise_statistics_over_ranks_is_refused(runs):
    for result in runs[1]:
        assert "no second derivative" in result["second derivative"]


def test_gathering_without_a_process_group_is_one_process():
    x, y = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    for mode in ("pairwise", "batchwise"):
        gathered = vicreg(x, y, mode=mode, gather_distributed=True)
        torch.testing.assert_close(gathered, vicreg(x, y, mode=mode), rtol=0, atol=0)


def test_gathering_without_torch_distributed_is_an_error(monkeypatch):
    monkeypatch.setattr("torch.distributed.is_available", lambda: False)
    with pytest.raises(ValueError, match="set gather_distributed=False"):
        vicreg(torch.randn(2, 5, 3), torch.randn(2, 5, 3), gather_distributed=True)
