"""Resamplers: a view's tokens to latent tokens, each in its own file, built by name from a config."""

from panollava_core.resamplers._base import RESAMPLERS, Resampler, near_square_grid
from panollava_core.resamplers._build import (
    build_resampler,
    convert_original_resampler,
    resampler_is_spatial,
    resampler_output_grid,
)
from panollava_core.resamplers.bimamba import BiMambaResampler
from panollava_core.resamplers.c_abstractor import CAbstractorResampler
from panollava_core.resamplers.mlp import MLPResampler
from panollava_core.resamplers.perceiver import PerceiverResampler
from panollava_core.resamplers.qformer import QFormerResampler
from panollava_core.resamplers.spatial_pool import SpatialPoolResampler

__all__ = [
    "RESAMPLERS",
    "BiMambaResampler",
    "CAbstractorResampler",
    "MLPResampler",
    "PerceiverResampler",
    "QFormerResampler",
    "Resampler",
    "SpatialPoolResampler",
    "build_resampler",
    "convert_original_resampler",
    "near_square_grid",
    "resampler_is_spatial",
    "resampler_output_grid",
]
