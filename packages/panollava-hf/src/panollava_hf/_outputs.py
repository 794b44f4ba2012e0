"""The output classes of the models."""

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
        image_outputs: Output of `get_image_features`; None without panoramas.

    The key-value cache, `hidden_states` and `attentions` are those of the language model, unchanged.
    """

    image_outputs: "PanoLLaVaImageFeatures | None" = None

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None, the image outputs as a tuple too."""
        return _nested_tuple(self)


@dataclass
class PanoLLaVaCausalLMOutput(CausalLMOutputWithPast):
    """Loss and logits of the language model.

    Attributes:
        loss: Mean cross-entropy over the labelled tokens; None without labels.
        logits: `[batch, kept positions, vocabulary]`.
        image_outputs: Output of `get_image_features`; None without panoramas.

    The key-value cache, `hidden_states` and `attentions` are those of the language model, unchanged.
    """

    image_outputs: "PanoLLaVaImageFeatures | None" = None

    @property
    def image_hidden_states(self) -> tuple[torch.Tensor, ...] | None:
        """Vision tokens as the language model reads them, one `[T, D_lm]` per panorama."""
        return None if self.image_outputs is None else self.image_outputs.pooler_output

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None, the image outputs as a tuple too."""
        return _nested_tuple(self)


@dataclass
class PanoLLaVaVICRegOutput(ModelOutput):
    """Output of `PanoLLaVaForVICReg`.

    Attributes:
        loss: Weighted sum of the three terms, a scalar.
        invariance: Mean squared difference of paired tokens.
        variance: Hinge on the standard deviation.
        covariance: Off-diagonal covariance energy.
        vicreg_features: Projected tokens that were compared, `[panoramas, views, H', W', D]`.
        last_hidden_state: Latent tokens before the VICReg projector, `[panoramas, views, N, D_latent]`.
        hidden_states: Those of the vision tower, one tensor per layer, if requested.
        attentions: Those of the vision tower, one tensor per layer, if requested.
    """

    loss: torch.Tensor | None = None
    invariance: torch.Tensor | None = None
    variance: torch.Tensor | None = None
    covariance: torch.Tensor | None = None
    vicreg_features: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class PanoLLaVaFeatureOutput(ModelOutput):
    """Output of `PanoLLaVaForFeatureExtraction`.

    Attributes:
        pooler_output: One vector per panorama, `[panoramas, D]`; D is `config.projection_dim`.
        last_hidden_state: Latent tokens, `[panoramas, views, N, D_latent]`.
        hidden_states: Those of the vision tower, one tensor per layer, if requested.
        attentions: Those of the vision tower, one tensor per layer, if requested.
        view_embeds: One vector per view, `[panoramas, views, D]`, in the order of the plan's views.
    """

    pooler_output: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    view_embeds: torch.Tensor | None = None

    @property
    def features(self) -> torch.Tensor | None:
        """The vectors, `[panoramas, D]`."""
        return self.pooler_output


@dataclass
class PanoLLaVaImageFeatures(ModelOutput):
    """Output of `get_image_features`.

    Attributes:
        last_hidden_state: Vision features, `[panoramas, views, H'·W', D_vision]`.
        pooler_output: Vision tokens, one `[T, D_lm]` per panorama.
        hidden_states: Those of the vision tower, one tensor per layer, if requested.
        attentions: Those of the vision tower, one tensor per layer, if requested.
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: Any = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


def _nested_tuple(output: ModelOutput) -> tuple[Any, ...]:
    return tuple(output[k].to_tuple() if k == "image_outputs" else output[k] for k in output.keys())


def as_requested(output: ModelOutput, return_dict: bool | None, config: Any) -> Any:
    """The output itself, or its tuple when the call or the config sets `return_dict=False`."""
    wants_dict = config.return_dict if return_dict is None else return_dict
    return output if wants_dict else output.to_tuple()


def tower_options(output_hidden_states: bool | None, output_attentions: bool | None) -> dict[str, bool]:
    """Arguments for the vision tower; those that are None are left to its config."""
    options = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
    return {name: value for name, value in options.items() if value is not None}
