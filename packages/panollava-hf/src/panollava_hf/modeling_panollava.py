"""The PanoLLaVA models: vision backbone → resampler → projector → fusion → language model → head."""

from pathlib import Path
from typing import Any, Self

import torch
from panollava_core import LanguageFusion, PanoramaProjector, VisionBackbone, build_resampler
from panollava_geometry import view_rays
from torch import Tensor, nn
from transformers import AutoModel, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from panollava_hf._compat import (
    CACHE_NAME,
    GENERATE_DROPS_IMAGES,
    TOWERS_WANT_NO_PREFIX,
    is_prefill,
    load_without_prefix,
    slice_hidden_states,
    take_cache,
)
from panollava_hf._gradients import with_zero_gradients
from panollava_hf._labels import LABELS, SHIFTED, AcceptsLossKwargs, trained_count, trained_labels
from panollava_hf._lora import (
    WHERE,
    built_plain,
    carries_adapters,
    is_built_plain,
    load_adapters,
    save_with_adapter,
    start_adapters,
)
from panollava_hf._outputs import (
    PanoLLaVaCausalLMOutput,
    PanoLLaVaImageFeatures,
    PanoLLaVaModelOutput,
    as_requested,
    tower_options,
)
from panollava_hf._pretrained import join_towers
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.outside._weight_files import follow_umask

__all__ = ["PanoLLaVaForConditionalGeneration", "PanoLLaVaModel", "PanoLLaVaPreTrainedModel"]

#: Arguments of `forward` that hold panoramas.
IMAGE_INPUTS = ("pixel_values", "view_rays", "mm_encoder_outputs")


class PanoLLaVaPreTrainedModel(PreTrainedModel):
    """Base of all PanoLLaVA models: config, weight initialisation, and capabilities of the towers."""

    config: PanoLLaVaConfig
    config_class = PanoLLaVaConfig
    base_model_prefix = "panollava"
    main_input_name = "input_ids"
    input_modalities: tuple[str, ...] = ("image", "text")
    supports_gradient_checkpointing = True
    _no_split_modules: tuple[str, ...] = ()  # PanoLLaVaModel adds those of its resampler, the towers their own
    _skip_keys_device_placement = ("past_key_values", "cache")
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True  # of an instance: what its language model says

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        own = list(module.parameters(recurse=False))
        # Modules of panollava_core with bare parameters initialise them themselves.
        start = getattr(module, "init_parameters", None)
        if start is not None and not all(getattr(p, "_is_hf_initialized", False) for p in own):
            start()

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint; the weights follow the umask, as the other files do."""
        super().save_pretrained(save_directory, *args, **kwargs)
        follow_umask(Path(save_directory).glob("*.safetensors"))


def _check_views(pixel_values: Tensor) -> None:
    if pixel_values.ndim != 5:
        raise ValueError(
            f"pixel_values must be [panoramas, views, 3, height, width], got {tuple(pixel_values.shape)}; "
            "use PanoLLaVaImageProcessor to cut panoramas into views"
        )


class PanoLLaVaModel(PanoLLaVaPreTrainedModel):
    """Vision side and headless language model: panoramas and text in, hidden states out.

    Args:
        config: The model's configuration.
        add_language_model: If False, only the vision side is built (for VICReg and feature extraction).
    """

    _keys_to_ignore_on_load_unexpected = [r"^lm_head\."]  # noqa: RUF012 - transformers adds lists

    if TOWERS_WANT_NO_PREFIX:

        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            """As in newer releases: read the vision tower of a full checkpoint under its old weight names."""
            return load_without_prefix(super().from_pretrained, cls.base_model_prefix, args, kwargs)

    def __init__(self, config: PanoLLaVaConfig, add_language_model: bool = True) -> None:
        super().__init__(config)
        self.vision_backbone = VisionBackbone(
            config.vision_config,
            trainable_blocks=config.trainable_vision_blocks,
            view_chunk_size=config.view_chunk_size,
            output_norm=config.vision_output_norm,
        )
        self.resampler = build_resampler(config.resampler_settings())
        self._no_split_modules = self.resampler.no_split_modules
        self.token_grid = config.token_grid()
        if add_language_model:
            if config.resampler_type == "none":
                raise ValueError(
                    "this model has no connector and no language model (resampler_type='none'): it makes vectors and "
                    "cannot read text or answer questions; load it with PanoLLaVaForFeatureExtraction"
                )
            self.projector = PanoramaProjector(
                config.latent_dimension,
                config.text_config.hidden_size,
                positional_encoding=config.positional_encoding,
                stitching_mode=config.stitching_mode,
                overlap_ratio=config.overlap_ratio,
                stitch_target_to_view_width=config.stitch_target_to_view_width,
                stitch_interp=config.stitch_interp,
                temperature=config.positional_temperature,
            )
            self.language_fusion = LanguageFusion(config.image_token_id)
            self.language_model = AutoModel.from_config(config.text_config)
            self._can_compile_fullgraph = self.language_model._can_compile_fullgraph
        # An attribute on the CPU whatever the default device: a buffer would be uninitialised after loading on meta.
        with torch.device("cpu"):
            plan = PanoLLaVaConfig.view_plan(config)  # from a local export, config is an instance of a copied class
            rays = view_rays(plan, self.token_grid if self.resampler.is_spatial else (1, 1)).float()
        self._plan_rays = rays.expand(-1, *self.token_grid, -1)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of the language model, or of the vision tower if there is no language model."""
        return self._embedding_owner().get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace what `get_input_embeddings` returns."""
        self._embedding_owner().set_input_embeddings(value)

    def _embedding_owner(self) -> PreTrainedModel:
        owner: PreTrainedModel = getattr(self, "language_model", self.vision_backbone.encoder)
        return owner

    def get_decoder(self) -> nn.Module:
        """The headless language model."""
        return self.language_model

    @property
    def vision_tower(self) -> PreTrainedModel:
        """The vision tower as transformers loaded it, under the name that its models and tools use."""
        tower: PreTrainedModel = self.vision_backbone.encoder
        return tower

    def encode_views(self, pixel_values: Tensor, **options: Any) -> tuple[ModelOutput, Tensor]:
        """Views → features and latents.

        Args:
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`.
            options: Further arguments of `VisionBackbone.encode` (`summaries`) and of the vision tower
                (`output_hidden_states`, `output_attentions`).

        Returns:
            The vision tower's output, its `last_hidden_state` `[panoramas · views, H'·W', D_vision]`, and latents
            `[panoramas · views, N, D_latent]`.

        Raises:
            ValueError: `pixel_values` has another number of axes.
        """
        _check_views(pixel_values)
        views = pixel_values.flatten(0, 1).to(next(self.vision_backbone.parameters()).dtype)
        features = self.vision_backbone.encode(views, **options)
        grid = self.vision_backbone.token_grid((pixel_values.shape[-2], pixel_values.shape[-1]))
        return features, self.resampler(features.last_hidden_state, grid=grid)

    def get_image_features(
        self,
        pixel_values: Tensor,
        view_rays: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> PanoLLaVaImageFeatures | tuple[Any, ...]:
        """Panoramas → tokens of the language model.

        Args:
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`.
            view_rays: Unit directions of the latent tokens, `[panoramas, views, H', W', 3]`; default: those of the
                config's plan.
            return_dict: Whether to return an output object or a tuple; default: the config's setting.
            kwargs: `output_hidden_states` and `output_attentions` for the vision tower; others are ignored.

        Returns:
            Features and, as `pooler_output`, one `[T, D_lm]` per panorama.

        Raises:
            ValueError: The number of views differs from the plan's and no `view_rays` were given.
        """
        _check_views(pixel_values)
        views = pixel_values.shape[1]
        if view_rays is None:
            view_rays = self._plan_rays
            if views != view_rays.shape[0] and self.projector.positional_encoding == "spherical":
                raise ValueError(
                    f"pixel_values hold {views} views, but the config's plan ({self.config.crop_strategy}) has "
                    f"{view_rays.shape[0]}; cut the panorama with the checkpoint's own processor, or pass view_rays"
                )
        # Not in the signature: `generate` does not pass named arguments on to the language model.
        options = tower_options(kwargs.get("output_hidden_states"), kwargs.get("output_attentions"))
        features, latents = self.encode_views(pixel_values, **options)
        rays = view_rays.to(latents.device, latents.dtype)
        tokens = self.projector(latents, num_views=views, grid=self.token_grid, rays=rays)
        output = PanoLLaVaImageFeatures(
            last_hidden_state=features.last_hidden_state.unflatten(0, (-1, views)),
            pooler_output=tuple(tokens.unbind(0)),
            hidden_states=features.hidden_states,
            attentions=features.attentions,
        )
        return as_requested(output, return_dict, self.config)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        inputs_embeds: Tensor | None = None,
        view_rays: Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> PanoLLaVaModelOutput | tuple[Any, ...]:
        """Run the language model over text whose placeholders are replaced by vision tokens.

        Args:
            input_ids: `[batch, sequence]`, with as many `image_token_id` as the panoramas have tokens.
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`, in the order of their placeholders.
            attention_mask: `[batch, sequence]`, 0 at padding.
            position_ids: `[batch, sequence]`; default: counted by the language model.
            past_key_values: Key-value cache (its name before transformers 5.24).
            cache: Key-value cache.
            inputs_embeds: Embeddings `[batch, sequence, D_lm]` in place of `input_ids`.
            view_rays: Unit directions of the latent tokens, `[panoramas, views, H', W', 3]`.
            mm_encoder_outputs: `{"image": output of get_image_features}` instead of `pixel_values`.
            return_dict: Whether to return an output object or a tuple; default: the config's setting.
            kwargs: For the language model; `output_hidden_states` and `output_attentions` for both towers.

        Raises:
            ValueError: Not exactly one of `input_ids` and `inputs_embeds`, both or mismatching image inputs.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        if pixel_values is not None and mm_encoder_outputs is not None:
            raise ValueError("You cannot specify both pixel_values and mm_encoder_outputs at the same time")
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        features = (mm_encoder_outputs or {}).get("image")
        if features is None and pixel_values is not None:
            both = {k: kwargs[k] for k in ("output_hidden_states", "output_attentions") if k in kwargs}
            features = self.get_image_features(pixel_values, view_rays=view_rays, return_dict=True, **both)
        if features is not None:
            tokens = tuple(t.to(inputs_embeds.device, inputs_embeds.dtype) for t in features.pooler_output)
            placeholders = self._placeholder_ids(input_ids, inputs_embeds)
            # Without the mask: `generate` may have made a 4-D one, and expanded prompts keep theirs.
            fused: Any = self.language_fusion.fuse(tokens, placeholders, inputs_embeds=inputs_embeds)["inputs_embeds"]
            if fused.shape[1] != inputs_embeds.shape[1]:
                raise ValueError(
                    "Image features and image tokens do not match: the prompt has one placeholder per panorama instead "
                    f"of {len(tokens[0])}; use PanoLLaVaProcessor, which expands it, or call language_fusion.fuse and "
                    "pass inputs_embeds with its attention_mask and labels"
                )
            inputs_embeds = fused
        elif self.training and torch.is_grad_enabled():
            inputs_embeds = with_zero_gradients(inputs_embeds, self._vision_parameters())
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            return_dict=True,
            **take_cache(cache, past_key_values),
            **kwargs,
        )
        return as_requested(PanoLLaVaModelOutput(**outputs, image_outputs=features), return_dict, self.config)

    def _vision_parameters(self) -> list[nn.Parameter]:
        """Parameters that are trained with panoramas only."""
        parts = (self.vision_backbone, self.resampler, self.projector)
        return [parameter for part in parts for parameter in part.parameters() if parameter.requires_grad]

    def _placeholder_ids(self, input_ids: Tensor | None, inputs_embeds: Tensor) -> Tensor:
        """Ids that show the placeholders; without ids, an embedding equal to the placeholder's own marks one."""
        if input_ids is not None:
            return input_ids
        token = torch.full((), self.config.image_token_id, dtype=torch.long, device=inputs_embeds.device)
        found = (inputs_embeds == self.get_input_embeddings()(token)).all(-1)
        return torch.where(found, self.config.image_token_id, self.config.image_token_id + 1)


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

    accepts_loss_kwargs = AcceptsLossKwargs()

    def __init__(self, config: PanoLLaVaConfig) -> None:
        super().__init__(config)
        self.panollava = PanoLLaVaModel(config)
        self._can_compile_fullgraph = self.panollava._can_compile_fullgraph
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        # The name of the embedding depends on the family (GPT-2: wte).
        embedding = self.panollava.get_input_embeddings()
        name = next(name for name, module in self.panollava.named_modules() if module is embedding)
        self._tied_weights_keys = {"lm_head.weight": f"panollava.{name}.weight"}
        self.post_init()
        if config.use_lora and not is_built_plain():
            start_adapters(self)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint; with `use_lora`, also the folder's adapter, or a fresh one if it has none."""
        where = {name: kwargs[name] for name in WHERE if kwargs.get(name) is not None}
        with built_plain():
            loaded = super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if model.config.use_lora and not carries_adapters(model):
            load_adapters(model, pretrained_model_name_or_path, **where)
        return loaded

    def load_custom_generate(self, *args: Any, trust_remote_code: bool | None = None, **kwargs: Any) -> Any:
        """As in newer releases: `custom_generate/generate.py` of a local folder, too, runs only if it is trusted."""
        if not trust_remote_code:
            raise OSError("code for generation is not run; read it, then pass trust_remote_code=True")
        return super().load_custom_generate(*args, trust_remote_code=trust_remote_code, **kwargs)

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint; adapters go into `adapter/`, next to their base."""
        self.config.use_lora = carries_adapters(self)  # merged adapters, and those of peft's class, are not saved
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
        return join_towers(cls, vision, text, settings=settings, dtype=dtype)

    @property
    def vision_backbone(self) -> nn.Module:
        """The vision tower."""
        return self.panollava.vision_backbone

    @property
    def vision_tower(self) -> PreTrainedModel:
        """The vision tower as transformers loaded it."""
        return self.panollava.vision_tower

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
            labels: `[batch, sequence]`, -100 at positions without a loss; placeholders never have one.
            logits_to_keep: Last positions whose logits are computed (0: all), or an index tensor or mask.
            view_rays: Unit directions of the latent tokens, `[panoramas, views, H', W', 3]`.
            mm_encoder_outputs: `{"image": output of get_image_features}` instead of `pixel_values`.
            return_dict: Whether to return an output object or a tuple; default: the config's setting.
            kwargs: For the language model and the loss. With `num_items_in_batch` the loss is a sum divided by that
                number, from which placeholders that were counted are taken out.
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
            loss = self.loss_function(
                logits=logits, vocab_size=self.config.text_config.vocab_size, **self._loss_options(labels, kwargs)
            )
        result = PanoLLaVaCausalLMOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_outputs=outputs.image_outputs,
            **{CACHE_NAME: outputs.get(CACHE_NAME)},
        )
        return as_requested(result, return_dict, self.config)

    def _trained_labels(self, labels: Tensor, *, shifted: bool = False) -> Tensor:
        """Labels without placeholders; `Trainer` calls it before it counts them."""
        return trained_labels(labels, self.config.image_token_id, shifted=shifted)

    def _loss_options(self, labels: Tensor, options: dict[str, Any]) -> dict[str, Any]:
        """Arguments of the loss: labels without placeholders, and the number of them."""
        trained = {LABELS: self._trained_labels(labels)}
        given = labels if (shifted := options.get(SHIFTED)) is None else shifted
        if shifted is not None:
            trained[SHIFTED] = self._trained_labels(shifted, shifted=True)
        if options.get("num_items_in_batch") is not None:
            kind = LABELS if shifted is None else SHIFTED
            count = trained_count(options["num_items_in_batch"], given, trained[kind], shifted=shifted is not None)
            trained["num_items_in_batch"] = count
        return {**options, **trained}

    def _head(self, hidden_states: Tensor) -> Tensor:
        """Logits of the language model's head, with the scale and soft cap of its config."""
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
        """Inputs of one step; panoramas are passed with their placeholders, and not again once the cache holds them."""
        model_inputs = super().prepare_inputs_for_generation(input_ids, *args, inputs_embeds=inputs_embeds, **kwargs)
        given = [name for name in IMAGE_INPUTS if model_inputs.get(name) is not None]
        if given and self._has_cached_panoramas(model_inputs, kwargs):
            for name in given:
                del model_inputs[name]
        return model_inputs

    def _has_cached_panoramas(self, model_inputs: dict[str, Any], arguments: dict[str, Any]) -> bool:
        """Whether the panoramas are in the cache already: after the prompt, or when a cached prompt is continued."""
        if not GENERATE_DROPS_IMAGES and not is_prefill(model_inputs, arguments):
            return True
        cache, ids = model_inputs.get(CACHE_NAME), model_inputs.get("input_ids")
        if ids is None or cache is None or not cache.get_seq_length():
            return False
        return not bool((ids == self.config.image_token_id).any())
