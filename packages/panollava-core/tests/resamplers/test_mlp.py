"""`mlp` against its formula."""

import pytest
import torch
from torch.nn.functional import layer_norm, linear


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_token_by_itself(build, tokens, exact, layers):
    resampler, views = build("mlp", num_layers=layers, num_latent_tokens=None), tokens(dtype=torch.float64)
    hidden, state = views, resampler.state_dict()
    for index in range(0, 3 * (layers - 1), 3):
        hidden = linear(hidden, state[f"mlp.{index}.weight"], state[f"mlp.{index}.bias"])
        hidden = layer_norm(hidden, (16,), state[f"mlp.{index + 1}.weight"], state[f"mlp.{index + 1}.bias"], 1e-5)
        hidden = gelu(hidden)
    last = 3 * (layers - 1)
    expected = linear(hidden, state[f"mlp.{last}.weight"], state[f"mlp.{last}.bias"])
    exact(resampler(views, grid=(4, 6)), expected)


def test_a_number_of_latents_averages_the_result(build, tokens, exact):
    resampler, views = build("mlp", num_latent_tokens=6), tokens(dtype=torch.float64)
    latents = resampler.mlp(views).view(3, 2, 2, 3, 2, 10).mean(dim=(2, 4))
    exact(resampler(views, grid=(4, 6)), latents.flatten(1, 2))
