"""Resamplers: the tokens of a view to latent tokens. One file per resampler, built by name from a config."""

from panollava_core.resamplers._base import Resampler
from panollava_core.resamplers._grids import near_square_grid
from panollava_core.resamplers._layers import CheckpointedLayer
from panollava_core.resamplers._options import ResamplerOptions
from panollava_core.resamplers._registry import (
    RESAMPLERS,
    build_resampler,
    register_resampler,
    resampler_class,
    resampler_is_spatial,
    resampler_output_grid,
)
from panollava_core.resamplers.bimamba import BiMambaResampler
from panollava_core.resamplers.c_abstractor import CAbstractorResampler
from panollava_core.resamplers.mlp import MLPResampler
from panollava_core.resamplers.no_resampler import NoResampler
from panollava_core.resamplers.perceiver import PerceiverResampler
from panollava_core.resamplers.qformer import QFormerResampler
from panollava_core.resamplers.spatial_pool import SpatialPoolResampler

__all__ = [
    "RESAMPLERS",
    "BiMambaResampler",
    "CAbstractorResampler",
    "CheckpointedLayer",
    "MLPResampler",
    "NoResampler",
    "PerceiverResampler",
    "QFormerResampler",
    "Resampler",
    "ResamplerOptions",
    "SpatialPoolResampler",
    "build_resampler",
    "near_square_grid",
    "register_resampler",
    "resampler_class",
    "resampler_is_spatial",
    "resampler_output_grid",
]
