"""The headless PanoLLaVA: vision backbone → resampler → projector → fusion → language model."""

from typing import Any

import torch
from panollava_core import LanguageFusion, PanoramaProjector, VisionBackbone, build_resampler
from panollava_geometry import view_rays
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.utils import ModelOutput

from panollava_hf._compat import TOWERS_WANT_NO_PREFIX, load_without_prefix, take_cache
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.outputs_panollava import PanoLLaVaImageFeatures, PanoLLaVaModelOutput, as_asked


class PanoLLaVaPreTrainedModel(PreTrainedModel):
    """What all PanoLLaVA models share: config, weight initialisation, and what the towers can do."""

    config: PanoLLaVaConfig
    config_class = PanoLLaVaConfig
    base_model_prefix = "panollava"
    main_input_name = "input_ids"
    input_modalities: tuple[str, ...] = ("image", "text")
    supports_gradient_checkpointing = True
    _no_split_modules: tuple[str, ...] = ()  # PanoLLaVaModel adds the resampler's, the towers add their own
    _skip_keys_device_placement = ("past_key_values", "cache")
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        own = list(module.parameters(recurse=False))
        # Modules of panollava_core that own bare parameters say themselves how they start.
        start = getattr(module, "init_parameters", None)
        if start is not None and not all(getattr(p, "_is_hf_initialized", False) for p in own):
            start()


def tower_options(output_hidden_states: bool | None, output_attentions: bool | None) -> dict[str, bool]:
    """What the vision tower is told; where nothing is asked its config decides."""
    asked = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
    return {name: value for name, value in asked.items() if value is not None}


def _check_views(pixel_values: Tensor) -> None:
    if pixel_values.ndim != 5:
        raise ValueError(
            f"pixel_values must be [panoramas, views, 3, height, width], got {tuple(pixel_values.shape)}; "
            "PanoLLaVaImageProcessor makes them from panoramas"
        )


class PanoLLaVaModel(PanoLLaVaPreTrainedModel):
    """Vision side and headless language model: panoramas and text in, hidden states out.

    Args:
        config: The model's configuration.
        add_language_model: Without it only the vision side is built (for VICReg and feature extraction).
    """

    _keys_to_ignore_on_load_unexpected = [r"^lm_head\."]  # noqa: RUF012 - transformers adds lists

    if TOWERS_WANT_NO_PREFIX:

        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            """As in newer releases: read a whole checkpoint's vision tower under its old names."""
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
        # A plain attribute, made on the CPU whatever the default device: a buffer would be garbage after a meta load.
        with torch.device("cpu"):
            plan = PanoLLaVaConfig.view_plan(config)  # from a local export, config is of a copy of the class
            rays = view_rays(plan, self.token_grid if self.resampler.is_spatial else (1, 1)).float()
        self._plan_rays = rays.expand(-1, *self.token_grid, -1)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The language model's embedding; the vision tower's where there is no language model."""
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

    def encode_views(self, pixel_values: Tensor, **options: Any) -> tuple[ModelOutput, Tensor]:
        """Views → features and latents.

        Args:
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`.
            options: Further arguments of the vision tower (`output_hidden_states`, `output_attentions`).

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
            return_dict: Whether an output object or a tuple is wanted; default: the config's word.
            kwargs: `output_hidden_states` and `output_attentions`, for the vision tower; anything else is ignored.

        Returns:
            Features and, as `pooler_output`, one `[T, D_lm]` per panorama.

        Raises:
            ValueError: The number of views is not the plan's and no `view_rays` say where they look.
        """
        _check_views(pixel_values)
        views = pixel_values.shape[1]
        if view_rays is None:
            view_rays = self._plan_rays
            if views != view_rays.shape[0] and self.projector.positional_encoding == "spherical":
                raise ValueError(
                    f"pixel_values hold {views} views, the config's plan ({self.config.crop_strategy}) has "
                    f"{view_rays.shape[0]}: cut the panorama with the checkpoint's own processor, or pass view_rays"
                )
        # Not named above: `generate` keeps named arguments from the language model.
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
        return as_asked(output, return_dict, self.config)

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
            return_dict: Whether an output object or a tuple is wanted; default: the config's word.
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
            # The mask stays out of it: `generate` may have made a 4-D one, and expanded prompts keep theirs anyway.
            fused: Any = self.language_fusion.fuse(tokens, placeholders, inputs_embeds=inputs_embeds)["inputs_embeds"]
            if fused.shape[1] != inputs_embeds.shape[1]:
                raise ValueError(
                    "Image features and image tokens do not match: the prompt has one placeholder per panorama instead "
                    f"of {len(tokens[0])}; PanoLLaVaProcessor expands it, or call language_fusion.fuse yourself and "
                    "pass inputs_embeds with its attention_mask and labels"
                )
            inputs_embeds = fused
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            return_dict=True,
            **take_cache(cache, past_key_values),
            **kwargs,
        )
        return as_asked(PanoLLaVaModelOutput(**outputs, image_outputs=features), return_dict, self.config)

    def _placeholder_ids(self, input_ids: Tensor | None, inputs_embeds: Tensor) -> Tensor:
        """Ids from which placeholders can be told; embeddings alone show them by equality with the token's own."""
        if input_ids is not None:
            return input_ids
        token = torch.full((), self.config.image_token_id, dtype=torch.long, device=inputs_embeds.device)
        found = (inputs_embeds == self.get_input_embeddings()(token)).all(-1)
        return torch.where(found, self.config.image_token_id, self.config.image_token_id + 1)
