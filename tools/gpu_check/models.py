"""Models with random weights, in the size that people use and in a size for trying the checks, and inputs for them."""

from typing import Any

import torch
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration
from transformers import Qwen2Config, SiglipVisionConfig

#: Towers of SigLIP-base's and Qwen2.5-0.5B's shape, without their weights.
VISION = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
TEXT = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
}
SMALL_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
SMALL_TEXT = {**SMALL_VISION, "num_key_value_heads": 2}
VOCABULARY = 8192


def config(*, small: bool, resampler: str = "mlp") -> PanoLLaVaConfig:
    """A configuration with one of the resamplers."""
    size, patch = (32, 8) if small else (224, 16)
    vision = SiglipVisionConfig(
        **(SMALL_VISION if small else VISION), image_size=size, patch_size=patch, vision_use_head=False
    )
    text = Qwen2Config(**(SMALL_TEXT if small else TEXT), vocab_size=VOCABULARY)
    fixed = resampler in ("qformer", "perceiver")
    settings: dict[str, Any] = {"num_latent_tokens": 4 if small else 64} if fixed else {}
    return PanoLLaVaConfig(
        vision,
        text,
        resampler_type=resampler,
        latent_dimension=32 if small else 768,
        image_token_id=VOCABULARY - 1,
        vicreg_pairs="columns" if fixed else "spherical",
        **settings,
    )


def model(*, small: bool, resampler: str = "mlp", **options: Any) -> PanoLLaVaForConditionalGeneration:
    """A model with random weights from seed 0."""
    torch.manual_seed(0)
    return PanoLLaVaForConditionalGeneration._from_config(config(small=small, resampler=resampler), **options).eval()


def inputs(settings: PanoLLaVaConfig, *, batch: int = 2, words: int = 32) -> dict[str, torch.Tensor]:
    """Token ids, labels and pixel values of a batch with one panorama each, from seed 1, on the CPU."""
    made = torch.Generator().manual_seed(1)
    pixels = torch.randn(batch, len(settings.view_plan()), 3, *settings.image_size, generator=made)
    ids = torch.randint(3, VOCABULARY - 1, (batch, words), generator=made)
    placeholders = torch.full((batch, settings.num_image_tokens()), settings.image_token_id)
    ids = torch.cat([ids[:, :2], placeholders, ids[:, 2:]], 1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels, "labels": ids.clone()}
