"""The gradient of a PanoLLaVA checkpoint's answer with respect to the pixels of its views."""

from typing import Any

import torch
from panollava_geometry import ViewPlan, paste_views
from torch import Tensor

from panollava_hf.asking._panorama import Panorama
from panollava_hf.evidence._scores import margins, prompt_of
from panollava_hf.evidence._sphere import normalised


def gradient_map(chat: Any, panorama: Panorama, question: str, answer: str, height: int) -> Tensor | None:
    """Squared gradient of the answer's margin with respect to the pixels, as a density on the sphere."""
    chat.prepare(panorama)
    prompt = prompt_of(chat, question, answer)
    views = panorama.memo["pixel_values"].to(chat.model.device, chat.model.dtype)
    with torch.enable_grad():
        pixels = views.clone().requires_grad_()
        score = margins(chat.model, pixels, prompt).sum()
        (gradient,) = torch.autograd.grad(score, pixels)
    energy = gradient[0].float().square().sum(1, keepdim=True).cpu()
    pasted, _ = paste_views(energy, ViewPlan(panorama.memo["plan"]), height)
    return normalised(pasted[0])
