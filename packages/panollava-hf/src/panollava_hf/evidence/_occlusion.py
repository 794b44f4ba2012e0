"""Occlusion on the sphere: one round part of the panorama after the other is blurred, in all views that see it.

It needs no gradients. A part is blurred in the views themselves, so only views that see it are encoded again.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from panollava_hf._outputs import PanoLLaVaImageFeatures
from panollava_hf.asking._panorama import Panorama
from panollava_hf.evidence._baseline import blurred_views
from panollava_hf.evidence._found import AS_SURE, Found, OnStep
from panollava_hf.evidence._scores import Prompt, margin
from panollava_hf.evidence._sphere import HEIGHT, angles_deg, caps, even_directions, map_rays

#: Parts, their radius and the width of their soft edges in degrees. Each direction is in about two of them.
PARTS, RADIUS_DEG, EDGE_DEG = 96, 18.0, 6.0
#: Prompts that go through the language model together.
BATCH = 16


@torch.inference_mode()
def by_occlusion(chat: Any, panorama: Panorama, prompt: Prompt, on_step: OnStep) -> Found:
    """Which parts a PanoLLaVA checkpoint must see to be sure of its answer."""
    model, plan = chat.model, panorama.memo["plan"]
    real = panorama.memo["pixel_values"].to(model.device, model.dtype)[0]
    size = (real.shape[-2], real.shape[-1])
    fill = blurred_views(panorama, chat.processor.image_processor, plan, size).to(real)[0]
    rays = torch.from_numpy(np.stack([view.rays(size) for view in plan]))
    centres = even_directions(PARTS)
    latents = model.panollava.encode_views(real[None])[1][None]
    whole = margin(model, prompt, mm_encoder_outputs=_features(model, latents))
    lost: list[Tensor] = []
    for start in range(0, PARTS, BATCH):
        masks = caps(angles_deg(rays, centres[start : start + BATCH]), RADIUS_DEG, EDGE_DEG).to(real)
        seen = masks.amax((-2, -1)) > 0  # [B, V]
        part, view = seen.nonzero(as_tuple=True)
        changed = torch.lerp(real[view], fill[view], masks[part, view][:, None])
        encoded = latents.repeat(len(masks), 1, 1, 1)
        if len(part):
            encoded[part, view] = model.panollava.encode_views(changed[None])[1]
        lost.append(whole - margin(model, prompt, mm_encoder_outputs=_features(model, encoded)))
        on_step(start + len(masks), PARTS)
    drops = torch.cat(lost).float().cpu()
    covering = caps(angles_deg(map_rays(HEIGHT), centres), RADIUS_DEG, EDGE_DEG)
    values = torch.einsum("n,nhw->hw", drops.clamp(min=0), covering) / covering.sum(0).clamp(min=1e-6)
    return Found(values, PARTS + 1, AS_SURE if float(drops.max()) <= 0 else "")


def _features(model: Any, latents: Tensor) -> dict[str, Any]:
    """Latents of views `[B, V, N, D]` as the model takes them in place of pixels."""
    inner = model.panollava
    rays = inner._plan_rays.to(latents)
    tokens = inner.projector(latents.flatten(0, 1), num_views=latents.shape[1], grid=inner.token_grid, rays=rays)
    return {"image": PanoLLaVaImageFeatures(pooler_output=tuple(tokens.unbind(0)))}
