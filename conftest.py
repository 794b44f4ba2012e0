"""Fixtures shared by the tests of all four packages: devices, tolerances, and the optional shared material."""

import os
import signal
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, so it is set before any test module

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("busy machine", deadline=None)  # no test may fail because others run next to it
hypothesis.settings.load_profile("busy machine")

# A shell starts jobs in the background with SIGINT ignored, and children inherit that. The tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: One tolerance table. A test that needs another figure says why.
TOLERANCES = {
    torch.float64: {"rtol": 1e-9, "atol": 1e-10},
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
    torch.float16: {"rtol": 1e-2, "atol": 1e-2},
    torch.bfloat16: {"rtol": 5e-2, "atol": 5e-2},
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request):
    return request.param


@pytest.fixture(scope="session")
def tolerances():
    return TOLERANCES


@pytest.fixture(scope="session")
def shared():
    """The folder of photographs and original checkpoints next to the checkout; tests skip if it is missing."""
    folder = Path(os.environ.get("PANOLLAVA_SHARED", Path(__file__).resolve().parent.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared material at {folder.name}/ (set PANOLLAVA_SHARED)")
    return folder
