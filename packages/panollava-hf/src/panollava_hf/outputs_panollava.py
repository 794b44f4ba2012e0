"""What the models return."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils import ModelOutput


@dataclass
class PanoLLaVaModelOutput(BaseModelOutputWithPast):
    """Hidden states of the language model over text and vision tokens.

    Attributes:
        last_hidden_state: `[batch, sequence, D_lm]`.
        image_hidden_states: Vision tokens as the language model read them, one `[T, D_lm]` per panorama.

    The key-value cache, `hidden_states` and `attentions` are those of the language model, unchanged.
    """

    image_hidden_states: tuple[torch.Tensor, ...] | None = None


@dataclass
class PanoLLaVaCausalLMOutput(CausalLMOutputWithPast):
    """Loss and logits of the language model.

    Attributes:
        loss: Mean cross-entropy over the labelled tokens; None without labels.
        logits: `[batch, kept positions, vocabulary]`.
        image_hidden_states: Vision tokens as the language model read them, one `[T, D_lm]` per panorama.

    The key-value cache, `hidden_states` and `attentions` are those of the language model, unchanged.
    """

    image_hidden_states: tuple[torch.Tensor, ...] | None = None


@dataclass
class PanoLLaVaImageFeatures(ModelOutput):
    """What `get_image_features` returns.

    Attributes:
        last_hidden_state: Vision features, `[panoramas · views, H'·W', D_vision]`.
        pooler_output: Vision tokens, one `[T, D_lm]` per panorama.
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: Any = None
