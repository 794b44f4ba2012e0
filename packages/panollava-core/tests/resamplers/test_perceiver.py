"""`perceiver` against torch's own attention over tokens and latents in one sequence."""

import torch
from torch import nn
from torch.nn.functional import gelu


def attention(block):
    """`nn.MultiheadAttention` with the parameters of a block whose tokens have the width of its latents."""
    layer = nn.MultiheadAttention(24, 8, bias=False, batch_first=True).double()
    layer.load_state_dict({"in_proj_weight": block.latent_qkv.weight, "out_proj.weight": block.out.weight})
    return layer


def test_blocks_are_attention_and_an_mlp(build, tokens, exact):
    resampler, views = build("perceiver", hidden_dim=None, mlp_ratio=1.5), tokens(dtype=torch.float64)
    hidden = resampler.latents.expand(3, -1, -1)
    for block in resampler.blocks:
        # Tokens and latents have projections of their own; here they are equal, so that one layer serves both.
        block.context_kv.weight.data.copy_(block.latent_qkv.weight[24:])
        latents = block.latent_norm(hidden)
        both = torch.cat([block.context_norm(views), latents], dim=1)
        hidden = hidden + attention(block)(latents, both, both, need_weights=False)[0]
        hidden = hidden + block.down(gelu(block.up(block.norm(hidden))))
    assert resampler.blocks[0].up.out_features == 36
    exact(resampler(views), resampler.output_proj(resampler.final_norm(hidden)))


def test_tokens_have_their_own_projection(build, tokens):
    resampler, views = build("perceiver", num_layers=1), tokens(dtype=torch.float64)
    before = resampler(views)
    with torch.no_grad():
        resampler.blocks[0].context_kv.weight.mul_(2)
    assert not torch.isclose(resampler(views), before).all()
