"""The public surface: what it is, that importing it is quiet, and that the shape checker is on under test."""

import subprocess
import sys

import panollava_core
import pytest
import torch
from panollava_core import PanoramaProjector


def test_inventory():
    assert panollava_core.__all__ == [
        "RESAMPLERS",
        "LanguageFusion",
        "PanoramaProjector",
        "Resampler",
        "VisionBackbone",
        "build_resampler",
        "convert_original_resampler",
        "near_square_grid",
        "num_image_tokens",
        "resampler_is_spatial",
        "resampler_output_grid",
        "selective_scan",
        "vision_token_grid",
        "vision_width",
    ]
    assert all(hasattr(panollava_core, name) for name in panollava_core.__all__)


def test_import_is_quiet_and_light():
    code = (
        "import sys, panollava_core; "
        "loaded = {'timm', 'panollava_geometry', 'panollava_losses', 'mamba_ssm'} & sys.modules.keys(); "
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""


def test_shape_checker_is_on():
    """Canary: without the checker as the last of --jaxtyping-packages nothing is checked and nothing warns."""
    projector = PanoramaProjector(4, 8, positional_encoding="none")
    with pytest.raises(Exception, match="latents"):
        projector(torch.zeros(4, 4), num_views=2, grid=(2, 2))
