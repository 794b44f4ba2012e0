"""The public names, the cost of importing them, and that the shape checker is on under test."""

import subprocess
import sys

import panollava_core
import pytest
import torch
from panollava_core import PanoramaProjector, resamplers


def test_inventory():
    assert panollava_core.__all__ == [
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
    assert all(hasattr(panollava_core, name) for name in panollava_core.__all__)


def test_inventory_of_resamplers():
    assert resamplers.__all__ == [
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
    assert all(hasattr(resamplers, name) for name in resamplers.__all__)


def test_import_neither_warns_nor_loads_what_it_does_not_need():
    unwanted = {"timm", "mamba_ssm", "panollava_geometry", "panollava_losses", "torch._dynamo"}
    code = f"import sys, panollava_core; found = {unwanted} & sys.modules.keys(); assert not found, found"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""


def test_shape_checker_is_on():
    """Canary: without the checker as the last of --jaxtyping-packages nothing is checked and nothing warns."""
    projector = PanoramaProjector(4, 8, positional_encoding="none")
    with pytest.raises(Exception, match="latents"):
        projector(torch.zeros(4, 4), num_views=2, grid=(2, 2))
