"""Two pretrained towers → one PanoLLaVA with a fresh connector, without a second copy of their weights."""

from typing import Any, TypeVar

import torch
from panollava_core import VisionBackbone
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from panollava_hf.adapters import built_plain, start_adapters
from panollava_hf.configuration_panollava import IMAGE_TOKEN, PanoLLaVaConfig
from panollava_hf.towers import load_config, load_tokenizer

Model = TypeVar("Model", bound=PreTrainedModel)

#: Parts that have no pretrained weights, by attribute of the headless model.
CONNECTOR = ("resampler", "projector")


def image_token_id(text: str) -> int:
    """Id that the placeholder has, or will have, in the tokenizer of a language model (folder or Hub id)."""
    tokenizer = load_tokenizer(text)
    return tokenizer.get_vocab().get(IMAGE_TOKEN, len(tokenizer))


def join_towers(
    model_class: type[Model],
    vision: str,
    text: str,
    *,
    settings: dict[str, Any],
    dtype: torch.dtype | None = None,
) -> Model:
    """Build `model_class` from a pretrained vision tower and language model and a freshly initialised connector.

    Args:
        model_class: `PanoLLaVaForConditionalGeneration` or a subclass.
        vision: Vision tower, a folder or Hub id.
        text: Causal language model, a folder or Hub id.
        settings: Fields of `PanoLLaVaConfig` other than the towers.
        dtype: Type of all weights; default float32.

    Returns:
        The model in evaluation mode. Its connector is untrained: `config.connector_trained` is False.

    Raises:
        ValueError: A tower cannot be found, or its head has a bias that the joined model could not keep.
    """
    dtype = torch.float32 if dtype is None else dtype
    load_config(vision), load_config(text)  # a name that cannot be found is told in one line, before any weights
    backbone = VisionBackbone.from_pretrained(vision, dtype=dtype)
    language = AutoModelForCausalLM.from_pretrained(text, dtype=dtype)
    head = language.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        raise ValueError(
            f"the output head of {text!r} has a bias, which PanoLLaVA's head does not; choose another model"
        )
    token_id = image_token_id(text)
    if token_id >= language.config.get_text_config().vocab_size:
        language.resize_token_embeddings(token_id + 1)
    config = PanoLLaVaConfig(
        vision_config=backbone.encoder.config,
        text_config=language.config,
        image_token_id=token_id,
        dtype=dtype,
        **settings,
    )
    with torch.device("meta"), built_plain():
        model = model_class(config)
    whole = model.base_model
    for name, kind in backbone.named_children():
        setattr(whole.vision_backbone, name, kind)
    whole.language_model = language.get_decoder()
    model.lm_head = language.get_output_embeddings()
    for name in CONNECTOR:
        part: nn.Module = getattr(whole, name)
        part.to_empty(device="cpu").to(dtype)
        part.apply(model._init_weights)
    model.tie_weights()
    model.generation_config = GenerationConfig.from_model_config(language.config)
    model.generation_config.update(**language.generation_config.to_diff_dict())
    model.generation_config.suppress_tokens = [token_id]  # the placeholder is read, never written
    if config.use_lora:
        start_adapters(model)
    return model.eval()
