"""The vision side of PanoLLaVA: trained with VICReg on overlapping views, used to turn panoramas into vectors."""

import copy
from pathlib import Path
from typing import Any, Literal, Self

import torch
from panollava_geometry import find_correspondences
from panollava_losses import (
    GroupedCorrespondences,
    OverlapVICRegLoss,
    VICRegProjector,
    column_correspondences,
    group_correspondences,
)
from torch import Tensor, nn

from panollava_hf._outputs import PanoLLaVaFeatureOutput, PanoLLaVaVICRegOutput, as_requested, tower_options
from panollava_hf._pooling import TOKEN_POOLING, TOWER_POOLING, Pooling, pool_tokens, pool_tower
from panollava_hf._wrapped_tower import wrap_tower
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.modeling_panollava import PanoLLaVaModel, PanoLLaVaPreTrainedModel

__all__ = ["PanoLLaVaForFeatureExtraction", "PanoLLaVaForVICReg"]

#: Parts of a full checkpoint that the vision side does not load.
LANGUAGE_SIDE = [r"^lm_head\.", r"^(panollava\.)?(language_model|projector)\."]


def overlap_pairs(config: PanoLLaVaConfig, is_spatial: bool) -> GroupedCorrespondences:
    """Pairs of tokens that are compared, from the config, grouped by pair of views.

    Raises:
        ValueError: The views do not overlap, or the tokens have no direction; the message names the fields to change.
    """
    # Not config.view_plan(): from a local export, config and its views would be instances of copied classes.
    plan, grid = PanoLLaVaConfig.view_plan(config), config.token_grid()
    if config.vicreg_pairs == "columns":
        columns = column_correspondences(len(plan), grid, config.overlap_ratio)
        return group_correspondences(columns, len(plan), grid)
    if not is_spatial:
        raise ValueError(
            f"the tokens of resampler {config.resampler_type!r} have no viewing direction and cannot be paired on the "
            "sphere; set vicreg_pairs='columns' or choose a resampler that keeps the grid"
        )
    try:
        return group_correspondences(find_correspondences(plan, grid, pairs="adjacent"), len(plan), grid)
    except ValueError as error:
        raise ValueError(
            f"{error}; the {len(plan)} views come from crop_strategy={config.crop_strategy!r}, num_views="
            f"{config.num_views}, fov_deg={config.fov_deg}, their {grid[0]}x{grid[1]} tokens from the vision tower"
        ) from error


class PanoLLaVaForVICReg(PanoLLaVaPreTrainedModel):
    """Stage one: the same direction seen from two views should get the same features (Bardes et al. 2022).

    Raises:
        ValueError: The config's views do not overlap, or its resampler's tokens have no place.
    """

    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _keys_to_ignore_on_load_unexpected = LANGUAGE_SIDE

    def __init__(self, config: PanoLLaVaConfig) -> None:
        super().__init__(config)
        self.panollava = PanoLLaVaModel(config, add_language_model=False)
        width = config.vicreg_projector_dim or config.latent_dimension
        self.vicreg_projector: nn.Module = nn.Identity()
        if config.vicreg_projector_depth:
            self.vicreg_projector = VICRegProjector(
                config.latent_dimension,
                width,
                hidden_dim=config.vicreg_projector_hidden_dim,
                depth=config.vicreg_projector_depth,
            )
        self.criterion = OverlapVICRegLoss(
            similarity_weight=config.vicreg_similarity_weight,
            variance_weight=config.vicreg_variance_weight,
            covariance_weight=config.vicreg_covariance_weight,
            mode=config.vicreg_mode,
        )
        # Grouped here and not in forward: grouping depends on values, which a compiled graph cannot. On the CPU: real
        # tensors whatever the default device, and not part of the checkpoint.
        with torch.device("cpu"):
            self._pairs = overlap_pairs(config, self.panollava.resampler.is_spatial)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        correspondences: Any = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> PanoLLaVaVICRegOutput | tuple[Any, ...]:
        """Loss on the overlaps of the views.

        Args:
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`.
            correspondences: Pairs of tokens to compare; default: those of the config's plan.
            output_hidden_states: Whether to return the vision tower's hidden states.
            output_attentions: Whether to return the vision tower's attentions.
            return_dict: Whether to return an output object or a tuple; default: the config's setting.
            kwargs: Ignored trainer arguments.

        Raises:
            ValueError: The number of views differs from the plan's.
        """
        panoramas, views = pixel_values.shape[:2]
        expected = len(self.config.view_plan())
        if correspondences is None and views != expected and self.config.vicreg_pairs == "columns":
            # The original paired columns in a ring of any number of views.
            correspondences = column_correspondences(views, self.panollava.token_grid, self.config.overlap_ratio)
        if correspondences is None and views != expected:
            raise ValueError(
                f"pixel_values hold {views} views, but the config's plan has {expected}; cut the panorama with the "
                "checkpoint's own processor, or pass correspondences"
            )
        options = tower_options(output_hidden_states, output_attentions)
        features, latents = self.panollava.encode_views(pixel_values, **options)
        latents = latents.unflatten(0, (panoramas, views))
        compared = self.vicreg_projector(latents).unflatten(2, self.panollava.token_grid)
        pairs = self._plan_pairs(compared.device) if correspondences is None else correspondences
        terms = self.criterion(compared, pairs)
        output = PanoLLaVaVICRegOutput(
            loss=terms.total,
            invariance=terms.invariance,
            variance=terms.variance,
            covariance=terms.covariance,
            vicreg_features=compared,
            last_hidden_state=latents,
            hidden_states=features.hidden_states,
            attentions=features.attentions,
        )
        return as_requested(output, return_dict, self.config)

    def _plan_pairs(self, device: torch.device) -> GroupedCorrespondences:
        """The plan's pairs, moved to a device once."""
        if self._pairs.weight.device == device:
            return self._pairs
        moved = self._pairs.to(device)
        if device.type != "meta":  # they could not be moved back from there
            self._pairs = moved
        return moved

    def to_feature_extractor(self, pooling: Pooling | None = None) -> "PanoLLaVaForFeatureExtraction":
        """The same weights without the VICReg projector, which is needed for training only."""
        with torch.device("meta"):  # its weights are replaced below
            extractor = PanoLLaVaForFeatureExtraction(self.config, pooling=pooling)
        extractor.panollava = self.panollava
        return extractor.train(self.training)


class PanoLLaVaForFeatureExtraction(PanoLLaVaPreTrainedModel):
    """Panoramas → vectors, one per panorama and one per view.

    Args:
        config: The model's configuration.
        pooling: `mean`, `max` or `first` over all latent tokens; without a connector also `cls`, `pooler`, `cls+mean`
            or `pooler+mean`; default: the config's.

    Raises:
        ValueError: `pooling` has another value, or does not fit the config.

    Example:
        >>> import torch
        >>> from transformers import Dinov2Config
        >>> from panollava_hf import PanoLLaVaConfig, PanoLLaVaForFeatureExtraction
        >>> tower = Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28)
        >>> config = PanoLLaVaConfig(tower, resampler_type="none", latent_dimension=32, pooling="cls")
        >>> model = PanoLLaVaForFeatureExtraction(config).eval()
        >>> output = model(torch.zeros(2, 7, 3, 28, 28))  # 2 panoramas of 7 views
        >>> output.pooler_output.shape, output.view_embeds.shape
        (torch.Size([2, 32]), torch.Size([2, 7, 32]))
    """

    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _keys_to_ignore_on_load_unexpected = [*LANGUAGE_SIDE, r"^vicreg_projector\."]  # noqa: RUF012 - transformers adds lists

    def __init__(self, config: PanoLLaVaConfig, pooling: Pooling | None = None) -> None:
        if pooling is not None and pooling != config.pooling:
            config = copy.deepcopy(config)  # it may be another model's
            config.pooling = pooling
        super().__init__(config)
        self.pooling = config.pooling
        if self.pooling not in (*TOKEN_POOLING, *(TOWER_POOLING if config.resampler_type == "none" else ())):
            raise ValueError(
                f"expected pooling 'mean', 'max' or 'first', got {self.pooling!r}; the others are for models without a "
                "connector (resampler_type='none')"
            )
        self.panollava = PanoLLaVaModel(config, add_language_model=False)
        self._pooled = PanoLLaVaConfig.pooled_indices(config)
        self.post_init()

    @classmethod
    def from_tower(
        cls,
        name: str | Path,
        *,
        pooling: Pooling | None = None,
        pooled_views: Literal["all", "tiles"] | None = None,
        crop_strategy: str = "anyres_e2p",
        num_views: int | None = None,
        fov_deg: float = 90.0,
        overlap_ratio: float = 0.3,
        view_size: int | tuple[int, int] | None = None,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        **where: Any,
    ) -> Self:
        """Vectors of a pretrained vision tower: no connector, no language model, no training.

        `PanoLLaVaImageProcessor.from_tower` with the same settings cuts the views.

        Args:
            name: Vision tower, a folder or Hub id, of any kind that `panollava_core.VisionBackbone` takes (DINOv2,
                DINOv3, SigLIP, SigLIP 2, CLIP, ViT, Swin, ConvNeXt, timm, …). Of a two-tower model (CLIP, SigLIP) the
                vision part is used.
            pooling: How the vector of a view is made: `cls`, `pooler` (the tower's own pooling), either with the mean
                of the patches appended (`cls+mean`, `pooler+mean`), or `mean`, `max` or `first` of the patches.
                Default: `pooler` if the tower has a pooling that was trained with it and is not its CLS token
                (SigLIP, CLIP, ConvNeXt), otherwise `cls+mean` if it has a CLS token (DINOv2, DINOv3, ViT), otherwise
                `mean`.
            pooled_views: Views that the panorama's vector is made of: `all`, or the `tiles` without the global view.
                Default: `all`.
            crop_strategy: How a panorama is cut into views (see `panollava_geometry.plan_views`).
            num_views: Tiles of the ring; None derives them.
            fov_deg: Horizontal field of view of a tile, in degrees.
            overlap_ratio: Overlap of neighbouring tiles, in [0, 1).
            view_size: Height and width of a view in pixels; default: what the tower's own image processor makes.
            dtype: Type of all weights; default float32.
            device: Where the model is put; default: the CPU.
            where: `revision`, `token`, `cache_dir`, `local_files_only`, `force_download`, `subfolder`.

        Returns:
            The model in evaluation mode; its config has `resampler_type="none"` and the resolved `pooling`.

        Raises:
            ModelError: The tower cannot be found or loaded, or weights of it that are used are missing.
            ValueError: A setting has an impossible value, or the tower has no such pooling.

        Example:
            >>> from panollava_hf import PanoLLaVaForFeatureExtraction, PanoLLaVaImageProcessor
            >>> model = PanoLLaVaForFeatureExtraction.from_tower("facebook/dinov2-small")  # doctest: +SKIP
            >>> processor = PanoLLaVaImageProcessor.from_tower("facebook/dinov2-small")  # doctest: +SKIP
            >>> model(**processor("panorama.jpg")).pooler_output.shape  # doctest: +SKIP
            torch.Size([1, 768])
        """
        settings = {
            "pooling": pooling,
            "pooled_views": pooled_views,
            "crop_strategy": crop_strategy,
            "num_views": num_views,
            "fov_deg": fov_deg,
            "overlap_ratio": overlap_ratio,
            "view_size": view_size,
        }
        model = wrap_tower(cls, str(name), settings=settings, dtype=dtype, where=where)
        return model if device is None else model.to(device)

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> PanoLLaVaFeatureOutput | tuple[Any, ...]:
        """Panoramas → vectors under CLIP's name: `pooler_output` `[panoramas, config.projection_dim]`.

        Args:
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`.
            kwargs: As for `forward`.
        """
        output: PanoLLaVaFeatureOutput | tuple[Any, ...] = self(pixel_values=pixel_values, **kwargs)
        return output

    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> PanoLLaVaFeatureOutput | tuple[Any, ...]:
        """One vector per panorama, and one per view.

        Args:
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`.
            output_hidden_states: Whether to return the vision tower's hidden states.
            output_attentions: Whether to return the vision tower's attentions.
            return_dict: Whether to return an output object or a tuple; default: the config's setting.
            kwargs: Ignored; a processor may pass more than the model needs.

        Raises:
            ValueError: The vector is made of the tiles alone, and the number of views differs from the plan's.
        """
        options: dict[str, Any] = tower_options(output_hidden_states, output_attentions)
        summaries = self.pooling in TOWER_POOLING
        features, latents = self.panollava.encode_views(pixel_values, summaries=summaries, **options)
        panoramas, views = pixel_values.shape[:2]
        tokens = latents.unflatten(0, (panoramas, views))
        if summaries:
            tower = type(self.panollava.vision_backbone.encoder).__name__
            view_embeds = pool_tower(self.pooling, features, tower).unflatten(0, (panoramas, views))
            pooled = view_embeds[:, self._counted(views)].mean(1)
        else:
            view_embeds = pool_tokens(self.pooling, tokens)
            pooled = pool_tokens(self.pooling, tokens[:, self._counted(views)].flatten(1, 2))
        output = PanoLLaVaFeatureOutput(
            pooler_output=pooled,
            last_hidden_state=tokens,
            hidden_states=features.hidden_states,
            attentions=features.attentions,
            view_embeds=view_embeds,
        )
        return as_requested(output, return_dict, self.config)

    def _counted(self, views: int) -> slice | list[int]:
        """Places of the views that the panorama's vector is made of."""
        if self.config.pooled_views == "all":
            return slice(None)
        expected = len(PanoLLaVaConfig.view_plan(self.config))
        if views != expected:
            raise ValueError(
                f"pixel_values hold {views} views, but the config's plan has {expected}; cut the panorama with the "
                "model's own image processor"
            )
        return self._pooled
