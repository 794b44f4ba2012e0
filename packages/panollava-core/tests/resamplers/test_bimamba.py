"""`bimamba` against Mamba-1's recurrence, one token at a time in each direction."""

import pytest
import torch
from panollava_core import build_resampler
from torch.nn.functional import conv1d, pad, silu, softplus


def mamba(mixer, hidden):
    """A Mamba-1 block as its paper describes it (Gu & Dao 2023, section 3.4)."""
    u, gate = mixer.in_proj(hidden).chunk(2, dim=-1)
    taps, inner = mixer.conv1d.weight.shape[-1], u.shape[-1]
    u = silu(conv1d(pad(u.mT, (taps - 1, 0)), mixer.conv1d.weight, mixer.conv1d.bias, groups=inner).mT)
    rank, states = mixer.dt_proj.in_features, mixer.A_log.shape[1]
    step, into, out_of = mixer.x_proj(u).split([rank, states, states], dim=-1)
    step, rates = softplus(mixer.dt_proj(step)), -mixer.A_log.exp()
    state, outputs = hidden.new_zeros(len(hidden), inner, states), []
    for t in range(hidden.shape[1]):
        decay = torch.exp(step[:, t, :, None] * rates)
        state = decay * state + (step[:, t] * u[:, t])[..., None] * into[:, t, None]
        outputs.append((state * out_of[:, t, None]).sum(-1) + mixer.D * u[:, t])
    return mixer.out_proj(torch.stack(outputs, dim=1) * silu(gate))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("options", [{"d_state": 3}, {"d_state": 5, "d_conv": 2, "expand": 1.5}])
def test_blocks_are_two_mambas(build, tokens, norm_first, options):
    resampler = build("bimamba", num_latent_tokens=None, norm_first=norm_first, **options)
    views = tokens(dtype=torch.float64)
    hidden = resampler.input_proj(views)
    for block in resampler.blocks:
        inputs = block.norm(hidden) if norm_first else hidden
        ahead, back = mamba(block.forward_block, inputs), mamba(block.backward_block, inputs.flip(1)).flip(1)
        hidden = hidden + (ahead + back) / 2
        hidden = hidden if norm_first else block.norm(hidden)
    expected = resampler.output_proj(resampler.final_norm(hidden))
    # The decay rates are computed in float32 whatever the type of the weights.
    torch.testing.assert_close(resampler(views, grid=(4, 6)), expected, rtol=1e-5, atol=1e-6)


def test_initial_step_sizes_are_small_and_spread(config_of):
    mixer = build_resampler(config_of("bimamba", hidden_dim=256)).blocks[0].forward_block
    steps = torch.nn.functional.softplus(mixer.dt_proj.bias)
    assert 0.0009 < steps.min() < 0.003
    assert 0.04 < steps.max() < 0.11
    torch.testing.assert_close(mixer.A_log.exp()[0], torch.arange(1.0, 65.0))
