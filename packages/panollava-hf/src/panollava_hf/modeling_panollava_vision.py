"""The vision side of PanoLLaVA: trained with VICReg on overlapping views, used to turn panoramas into vectors."""

from typing import Any, Literal

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
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.modeling_panollava import PanoLLaVaModel, PanoLLaVaPreTrainedModel

__all__ = ["PanoLLaVaForFeatureExtraction", "PanoLLaVaForVICReg"]

Pooling = Literal["mean", "max", "first"]

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
    """Panoramas → vectors.

    Args:
        config: The model's configuration.
        pooling: `mean`, `max` or `first` over all latent tokens; default: the config's.

    Raises:
        ValueError: `pooling` has another value.
    """

    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _keys_to_ignore_on_load_unexpected = [*LANGUAGE_SIDE, r"^vicreg_projector\."]  # noqa: RUF012 - transformers adds lists

    def __init__(self, config: PanoLLaVaConfig, pooling: Pooling | None = None) -> None:
        super().__init__(config)
        self.pooling = config.pooling if pooling is None else pooling
        if self.pooling not in ("mean", "max", "first"):
            raise ValueError(f"expected pooling 'mean', 'max' or 'first', got {self.pooling!r}")
        self.panollava = PanoLLaVaModel(config, add_language_model=False)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> PanoLLaVaFeatureOutput | tuple[Any, ...]:
        """One vector per panorama.

        Args:
            pixel_values: Normalised views, `[panoramas, views, 3, h, w]`.
            output_hidden_states: Whether to return the vision tower's hidden states.
            output_attentions: Whether to return the vision tower's attentions.
            return_dict: Whether to return an output object or a tuple; default: the config's setting.
            kwargs: Ignored; a processor may pass more than the model needs.
        """
        panoramas, views = pixel_values.shape[:2]
        options = tower_options(output_hidden_states, output_attentions)
        features, latents = self.panollava.encode_views(pixel_values, **options)
        tokens = latents.unflatten(0, (panoramas, views))
        flat = tokens.flatten(1, 2)
        pooled = {"mean": lambda: flat.mean(1), "max": lambda: flat.amax(1), "first": lambda: flat[:, 0]}[
            self.pooling
        ]()
        output = PanoLLaVaFeatureOutput(
            pooler_output=pooled,
            last_hidden_state=tokens,
            hidden_states=features.hidden_states,
            attentions=features.attentions,
        )
        return as_requested(output, return_dict, self.config)
