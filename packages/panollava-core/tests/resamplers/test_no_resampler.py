"""`none`: the tokens as they are."""

import pytest
import torch
from panollava_core import build_resampler, resampler_is_spatial, resampler_output_grid

CONFIG = {"type": "none", "input_dim": 24, "latent_dimension": 24}


def test_it_returns_its_input_and_has_no_parameters():
    resampler = build_resampler(CONFIG)
    tokens = torch.randn(3, 20, 24)
    assert resampler(tokens, grid=(4, 5)) is tokens
    assert not resampler.state_dict()
    assert build_resampler(resampler.config).config == resampler.config


def test_its_grid_is_that_of_the_view():
    assert resampler_output_grid(CONFIG, (4, 5)) == (4, 5)
    assert resampler_is_spatial(CONFIG)
    with pytest.raises(ValueError, match="grid 4x6 has 24 cells, but each view has 20 tokens"):
        build_resampler(CONFIG)(torch.randn(3, 20, 24), grid=(4, 6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_dimension": 16}, "latent_dimension must be input_dim=24, the width of the vision tokens, got 16"),
        ({"num_latent_tokens": 4}, "num_latent_tokens must be None, got 4"),
    ],
)
def test_what_it_cannot_do_is_refused(change, message):
    with pytest.raises(ValueError, match=f"invalid option for resampler 'none': {message}"):
        build_resampler({**CONFIG, **change})
