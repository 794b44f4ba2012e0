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
class PanoLLaVaVICRegOutput(ModelOutput):
    """What `PanoLLaVaForVICReg` returns.

    Attributes:
        loss: Weighted sum of the three terms, a scalar.
        invariance: Mean squared difference of paired tokens.
        variance: Hinge on the standard deviation.
        covariance: Off-diagonal covariance energy.
        vicreg_features: Projected tokens that were compared, `[panoramas, views, H', W', D]`.
        last_hidden_state: Latent tokens before the VICReg projector, `[panoramas, views, N, D_latent]`.
    """

    loss: torch.Tensor | None = None
    invariance: torch.Tensor | None = None
    variance: torch.Tensor | None = None
    covariance: torch.Tensor | None = None
    vicreg_features: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None


@dataclass
class PanoLLaVaFeatureOutput(ModelOutput):
    """What `PanoLLaVaForFeatureExtraction` returns.

    Attributes:
        pooler_output: One vector per panorama, `[panoramas, D_latent]`.
        last_hidden_state: Latent tokens, `[panoramas, views, N, D_latent]`.
    """

    pooler_output: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None

    @property
    def features(self) -> torch.Tensor | None:
        """The vectors, `[panoramas, D_latent]`."""
        return self.pooler_output


@dataclass
class PanoLLaVaImageFeatures(ModelOutput):
    """What `get_image_features` returns.

    Attributes:
        last_hidden_state: Vision features, `[panoramas · views, H'·W', D_vision]`.
        pooler_output: Vision tokens, one `[T, D_lm]` per panorama.
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: Any = None
