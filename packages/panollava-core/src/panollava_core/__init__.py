"""Parts of a panoramic vision-language model: vision backbones, resamplers, projector and fusion."""

from panollava_core._backbone import VisionBackbone, VisionOutput
from panollava_core._fusion import LanguageFusion
from panollava_core._projector import PanoramaProjector, PositionalEncoding
from panollava_core._selective_scan import selective_scan
from panollava_core._stitching import Interpolation, StitchingMode, num_image_tokens
from panollava_core._towers import vision_token_grid, vision_width
from panollava_core.resamplers import (
    RESAMPLERS,
    Resampler,
    ResamplerOptions,
    build_resampler,
    near_square_grid,
    register_resampler,
    resampler_class,
    resampler_is_spatial,
    resampler_output_grid,
)

__all__ = [
    "RESAMPLERS",
    "Interpolation",
    "LanguageFusion",
    "PanoramaProjector",
    "PositionalEncoding",
    "Resampler",
    "ResamplerOptions",
    "StitchingMode",
    "VisionBackbone",
    "VisionOutput",
    "build_resampler",
    "near_square_grid",
    "num_image_tokens",
    "register_resampler",
    "resampler_class",
    "resampler_is_spatial",
    "resampler_output_grid",
    "selective_scan",
    "vision_token_grid",
    "vision_width",
]
