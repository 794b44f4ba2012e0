"""Implementations of attention: PyTorch's own with and without its flash kernel, and the package flash-attn."""

from importlib.util import find_spec
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tools.gpu_check.harness import Bench, require
from tools.gpu_check.models import inputs, model

KERNELS = {"math": SDPBackend.MATH, "flash": SDPBackend.FLASH_ATTENTION}


def _logits(module: Any, given: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return module(**given).logits


def _near(name: str, found: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative difference of logits in bfloat16, whose unit is 2^-8; checked."""
    difference = ((found - expected).float().norm() / expected.float().norm()).item()
    require(difference < 0.03, f"{name}: relative difference of the logits {difference:.4f}, expected < 0.03")
    return difference


def attention(bench: Bench) -> dict[str, Any]:
    """Forward passes in bfloat16: logits of all implementations, and their seconds relative to the eager one.

    Without a padding mask, because PyTorch's flash kernel takes none.
    """
    eager = model(small=bench.small, dtype=torch.bfloat16, attn_implementation="eager").to(bench.device)
    given = {name: value.to(bench.device) for name, value in inputs(eager.config, batch=4).items()}
    given["pixel_values"] = given["pixel_values"].to(torch.bfloat16)
    del given["labels"], given["attention_mask"]
    expected = _logits(eager, given)
    base = bench.seconds(lambda: _logits(eager, given))
    figures: dict[str, Any] = {"eager, ms": base * 1e3}
    sdpa = model(small=bench.small, dtype=torch.bfloat16, attn_implementation="sdpa").to(bench.device)
    for name, backend in KERNELS.items():
        with sdpa_kernel(backend):
            difference = _near(name, _logits(sdpa, given), expected)
            seconds = bench.seconds(lambda: _logits(sdpa, given))
        figures |= {f"sdpa {name}, difference": difference, f"sdpa {name}, of eager's time": seconds / base}
    if find_spec("flash_attn") is None:
        return {**figures, "flash_attention_2": "flash-attn is not installed"}
    package = model(small=bench.small, dtype=torch.bfloat16, attn_implementation="flash_attention_2").to(bench.device)
    difference = _near("flash_attention_2", _logits(package, given), expected)
    seconds = bench.seconds(lambda: _logits(package, given))
    return {
        **figures,
        "flash_attention_2, difference": difference,
        "flash_attention_2, of eager's time": seconds / base,
    }


def compiled(bench: Bench) -> dict[str, Any]:
    """One graph without breaks (`fullgraph=True`) gives the loss of the eager model."""
    module = model(small=True).to(bench.device)
    given = {name: value.to(bench.device) for name, value in inputs(module.config).items()}
    with torch.no_grad():
        expected = module(**given).loss.item()
        found = torch.compile(module, fullgraph=True)(**given).loss.item()
    require(abs(found - expected) < 1e-4 * expected, f"loss {found} compiled, {expected} eager")
    return {"difference of the losses": abs(found - expected)}
