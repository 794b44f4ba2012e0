"""Integrated gradients (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365) on the pixels of the views.

The views are blended from those of the blurred panorama to the real ones. In each step the gradient says which pixels
make the answer surer; multiplied by how much a pixel changes, and added up, these amounts sum to how much surer of its
answer the model is with the real panorama than with the blurred one.
"""

from typing import Any

import torch
from torch import Tensor

from panollava_hf.asking._panorama import Panorama
from panollava_hf.evidence._baseline import blurred_views
from panollava_hf.evidence._found import AS_SURE, Found, OnStep
from panollava_hf.evidence._scores import Prompt, frozen, margin
from panollava_hf.evidence._sphere import blurred, pasted

#: Steps from the blurred panorama to the real one.
STEPS = 8
#: Width in degrees of the blur that averages out the noise of gradients.
SMOOTH_DEG = 4.0


def by_gradient(chat: Any, panorama: Panorama, prompt: Prompt, on_step: OnStep) -> Found:
    """Where the pixels are that make a PanoLLaVA checkpoint surer of its answer."""
    model, plan = chat.model, panorama.memo["plan"]
    real = panorama.memo["pixel_values"].to(model.device, model.dtype)
    size = (real.shape[-2], real.shape[-1])
    start = blurred_views(panorama, chat.processor.image_processor, plan, size).to(real)
    total = torch.zeros_like(real, dtype=torch.float32)
    with torch.enable_grad(), frozen(model):
        for step in range(STEPS):
            pixels = torch.lerp(start, real, (step + 0.5) / STEPS).requires_grad_()
            (gradient,) = torch.autograd.grad(margin(model, prompt, pixel_values=pixels).sum(), pixels)
            total += gradient.float() / STEPS
            on_step(step + 1, STEPS)
    amounts: Tensor = (total * (real - start).float())[0].sum(1)
    note = AS_SURE if float(amounts.sum()) <= 0 else ""
    return Found(blurred(pasted(amounts, plan)[None], SMOOTH_DEG)[0], STEPS, note)
