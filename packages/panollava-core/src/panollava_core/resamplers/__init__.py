"""Resamplers: a view's tokens to latent tokens, each in its own file, built by name from a config."""

from panollava_core.resamplers._base import RESAMPLERS, Resampler, near_square_grid
from panollava_core.resamplers._build import build_resampler, resampler_is_spatial, resampler_output_grid
from panollava_core.resamplers.mlp import MLPResampler

__all__ = [
    "RESAMPLERS",
    "MLPResampler",
    "Resampler",
    "build_resampler",
    "near_square_grid",
    "resampler_is_spatial",
    "resampler_output_grid",
]
