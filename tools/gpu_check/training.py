"""Losses, gradients and training steps on the device."""

from typing import Any

import torch
from panollava_core import RESAMPLERS
from panollava_hf import PanoLLaVaForVICReg

from tools.gpu_check.harness import Bench, require
from tools.gpu_check.models import config, inputs, model

STEPS = 10


def _gradients(module: Any, given: dict[str, torch.Tensor], device: torch.device) -> tuple[float, torch.Tensor]:
    """Loss, and all gradients as one vector, in float64 on the CPU."""
    module.to(device).zero_grad()
    loss = module(**{name: value.to(device) for name, value in given.items()}).loss
    loss.backward()
    parts = [p.grad.detach().double().cpu().flatten() for p in module.parameters() if p.grad is not None]
    return loss.item(), torch.cat(parts)


def _same(name: str, module: Any, given: dict[str, torch.Tensor], device: torch.device) -> float:
    """Largest relative difference of loss and gradients from those of the CPU."""
    loss, gradient = _gradients(module, given, torch.device("cpu"))
    other, found = _gradients(module, given, device)
    differences = abs(other - loss) / abs(loss), ((found - gradient).norm() / gradient.norm()).item()
    require(max(differences) < 1e-3, f"{name}: relative differences of loss and gradients {differences}")
    return max(differences)


def resamplers(bench: Bench) -> dict[str, Any]:
    """Loss and gradients of a small model with each resampler, float32, on the device and on the CPU."""
    found = {}
    for name in sorted(set(RESAMPLERS) - {"none"}):  # "none" makes vectors, and has no language model
        module = model(small=True, resampler=name)
        found[name] = _same(name, module, inputs(module.config), bench.device)
    return found


def overlap_loss(bench: Bench) -> dict[str, Any]:
    """The overlap loss and its gradients, in both modes, on the device and on the CPU."""
    found = {}
    for mode in ("pairwise", "batchwise"):
        settings = config(small=True)
        settings.vicreg_mode = mode
        torch.manual_seed(0)
        module = PanoLLaVaForVICReg(settings).eval()
        given = {"pixel_values": inputs(settings)["pixel_values"]}
        found[mode] = _same(mode, module, given, bench.device)
    return found


def _steps(bench: Bench, autocast: bool) -> dict[str, Any]:
    module = model(small=bench.small).to(bench.device).train()
    given = {name: value.to(bench.device) for name, value in inputs(module.config, batch=4).items()}
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)
    losses: list[float] = []

    def step() -> None:
        with torch.autocast(bench.device.type, torch.bfloat16, enabled=autocast):
            loss = module(**given).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    bench.peak()
    seconds = bench.seconds(step, rounds=STEPS)
    require(all(map(torch.isfinite, map(torch.tensor, losses))), f"losses that are not finite: {losses}")
    require(losses[-1] < losses[0], f"the loss did not fall on a batch that repeats: {losses}")
    tokens = given["input_ids"].numel()
    figures = {"ms per step": seconds * 1e3, "tokens/s": tokens / seconds, "peak MiB": bench.peak()}
    return {"first loss": losses[0], "last loss": losses[-1], **figures}


def steps(bench: Bench) -> dict[str, Any]:
    """Training steps on one batch in float32."""
    return _steps(bench, autocast=False)


def steps_bf16(bench: Bench) -> dict[str, Any]:
    """Training steps on one batch in bfloat16, under autocast."""
    return _steps(bench, autocast=True)
