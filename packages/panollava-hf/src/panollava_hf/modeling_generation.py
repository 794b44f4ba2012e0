"""PanoLLaVA with its language-modelling head: panoramas and questions in, text out."""

from typing import Any, Self

import torch
from panollava_core import LanguageFusion
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig

from panollava_hf._compat import (
    CACHE_NAME,
    GENERATE_DROPS_IMAGES,
    is_prefill,
    slice_hidden_states,
    take_cache,
)
from panollava_hf.adapters import (
    WHERE,
    built_plain,
    carries_adapters,
    is_built_plain,
    load_adapters,
    save_with_adapter,
    start_adapters,
)
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.modeling_base import PanoLLaVaModel, PanoLLaVaPreTrainedModel
from panollava_hf.outputs_panollava import PanoLLaVaCausalLMOutput, PanoLLaVaImageFeatures, as_asked

#: Arguments of `forward` that hold panoramas.
IMAGE_INPUTS = ("pixel_values", "view_rays", "mm_encoder_outputs")


class PanoLLaVaForConditionalGeneration(PanoLLaVaPreTrainedModel, GenerationMixin):
    """PanoLLaVA with its language-modelling head: answers questions about panoramas.

    Example:
        >>> from transformers import Qwen2Config, SiglipVisionConfig
        >>> from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration
        >>> vision = SiglipVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        ...                             num_attention_heads=2, image_size=32, patch_size=8)
        >>> text = Qwen2Config(vocab_size=99, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        ...                    num_attention_heads=2, num_key_value_heads=2)
        >>> config = PanoLLaVaConfig(vision, text, latent_dimension=32, image_token_id=98)
        >>> model = PanoLLaVaForConditionalGeneration(config)
        >>> config.num_image_tokens()  # 7 views of 4 x 4 tokens
        112
    """

    _tied_weights_keys = {"lm_head.weight": "panollava.language_model.embed_tokens.weight"}  # noqa: RUF012 - 5.x reads a dict

    _tp_plan = {"lm_head": "colwise_rep"}  # noqa: RUF012 - as above

    def __init__(self, config: PanoLLaVaConfig) -> None:
        super().__init__(config)
        self.panollava = PanoLLaVaModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        # Families call their embedding differently (GPT-2: wte).
        embedding = self.panollava.get_input_embeddings()
        name = next(name for name, module in self.panollava.named_modules() if module is embedding)
        self._tied_weights_keys = {"lm_head.weight": f"panollava.{name}.weight"}
        self.post_init()
        if config.use_lora and not is_built_plain():
            start_adapters(self)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """As of every model; with `use_lora`, the folder's adapter is put on too, or a fresh one if it has none."""
        where = {name: kwargs[name] for name in WHERE if kwargs.get(name) is not None}
        with built_plain():
            loaded = super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if model.config.use_lora and not carries_adapters(model):
            load_adapters(model, pretrained_model_name_or_path, **where)
        return loaded

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """As of every model; adapters go into `adapter/`, beside the base that they belong to."""
        self.config.use_lora = carries_adapters(self)  # those merged, or wrapped by peft, are no part of the folder
        if not self.config.use_lora:
            super().save_pretrained(save_directory, *args, **kwargs)
            return
        options = {**dict(zip(("is_main_process", "state_dict"), args, strict=False)), **kwargs}
        save_with_adapter(super().save_pretrained, self, save_directory, options)

    @classmethod
    def from_towers(
        cls,
        vision: str,
        text: str,
        *,
        dtype: torch.dtype | None = None,
        **settings: Any,
    ) -> Self:
        """Join two pretrained towers with a fresh, untrained connector.

        Args:
            vision: Vision tower, a folder or Hub id.
            text: Causal language model, a folder or Hub id.
            dtype: Type of all weights; default float32.
            settings: Fields of `PanoLLaVaConfig` other than the towers (`resampler_type`, `view_size`, …).

        Raises:
            ValueError: A tower cannot be found or used.
        """
        from panollava_hf.joining import join_towers

        return join_towers(cls, vision, text, settings=settings, dtype=dtype)

    @property
    def vision_backbone(self) -> nn.Module:
        """The vision tower."""
        return self.panollava.vision_backbone

    @property
    def resampler(self) -> nn.Module:
        """Features → latent tokens."""
        return self.panollava.resampler

    @property
    def projector(self) -> nn.Module:
        """Latent tokens → language-model tokens."""
        return self.panollava.projector

    @property
    def language_model(self) -> nn.Module:
        """The headless language model."""
        return self.panollava.language_model

    @property
    def language_fusion(self) -> LanguageFusion:
        """Puts vision tokens where the placeholders are."""
        return self.panollava.language_fusion

    def get_input_embeddings(self) -> nn.Module:
        """The language model's embedding."""
        return self.panollava.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's embedding."""
        self.panollava.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language-modelling head."""
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the language-modelling head."""
        self.lm_head = value

    def get_decoder(self) -> nn.Module:
        """The headless language model."""
        return self.panollava.language_model

    def get_image_features(
        self, pixel_values: Tensor, view_rays: Tensor | None = None, **kwargs: Any
    ) -> PanoLLaVaImageFeatures | tuple[Any, ...]:
        """Panoramas → tokens of the language model; see `PanoLLaVaModel.get_image_features`."""
        return self.panollava.get_image_features(pixel_values, view_rays=view_rays, **kwargs)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        view_rays: Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> PanoLLaVaCausalLMOutput | tuple[Any, ...]:
        """Logits, and the loss when there are labels.

        Args:
            input_ids: `[batch, sequence]`, with as many `image_token_id` as the panoramas have tokens.
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`, in the order of their placeholders.
            attention_mask: `[batch, sequence]`, 0 at padding.
            position_ids: `[batch, sequence]`; default: counted by the language model.
            past_key_values: Key-value cache (its name before transformers 5.24).
            cache: Key-value cache.
            inputs_embeds: Embeddings `[batch, sequence, D_lm]` in place of `input_ids`.
            labels: `[batch, sequence]`, -100 where nothing is to be learnt; placeholders are never learnt.
            logits_to_keep: Last positions whose logits are wanted (0: all), or an index tensor or mask.
            view_rays: Unit directions of the latent tokens, `[panoramas, views, H', W', 3]`.
            mm_encoder_outputs: `{"image": output of get_image_features}` instead of `pixel_values`.
            return_dict: Whether an output object or a tuple is wanted; default: the config's word.
            kwargs: For the language model and the loss (`num_items_in_batch`).
        """
        outputs = self.panollava(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            view_rays=view_rays,
            mm_encoder_outputs=mm_encoder_outputs,
            return_dict=True,
            **take_cache(cache, past_key_values),
            **kwargs,
        )
        logits = self._head(slice_hidden_states(outputs.last_hidden_state, logits_to_keep))
        loss = None
        if labels is not None:
            labels = labels.masked_fill(labels == self.config.image_token_id, -100)
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.text_config.vocab_size, **kwargs
            )
        result = PanoLLaVaCausalLMOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_outputs=outputs.image_outputs,
            **{CACHE_NAME: outputs.get(CACHE_NAME)},
        )
        return as_asked(result, return_dict, self.config)

    def _head(self, hidden_states: Tensor) -> Tensor:
        """Logits as the language model's own head makes them, with the scale and soft cap that its config names."""
        logits = self.lm_head(hidden_states)
        text: PretrainedConfig = self.config.text_config
        if getattr(text, "logit_scale", None) is not None:  # Cohere
            logits = logits * text.logit_scale
        if getattr(text, "logits_scaling", None) is not None:  # Granite
            logits = logits / text.logits_scaling
        cap = getattr(text, "final_logit_softcapping", None)  # Gemma 2 and 3
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *args: Any, inputs_embeds: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """One step's inputs; panoramas go in with their placeholders, and not again when the cache holds them."""
        model_inputs = super().prepare_inputs_for_generation(input_ids, *args, inputs_embeds=inputs_embeds, **kwargs)
        given = [name for name in IMAGE_INPUTS if model_inputs.get(name) is not None]
        if given and self._knows_panoramas(model_inputs, kwargs):
            for name in given:
                del model_inputs[name]
        return model_inputs

    def _knows_panoramas(self, model_inputs: dict[str, Any], arguments: dict[str, Any]) -> bool:
        """Whether the panoramas are in the cache already: after the prompt, or when a cached one is gone on with."""
        if not GENERATE_DROPS_IMAGES and not is_prefill(model_inputs, arguments):
            return True
        cache, ids = model_inputs.get(CACHE_NAME), model_inputs.get("input_ids")
        if ids is None or cache is None or not cache.get_seq_length():
            return False
        return not bool((ids == self.config.image_token_id).any())
