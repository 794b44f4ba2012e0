"""`qformer` against torch's own decoder layer, whose blocks are BERT's too."""

import pytest
import torch
from panollava_core import build_resampler
from torch import nn


def decoder_layer(block):
    """`nn.TransformerDecoderLayer` with the parameters of a block whose context has the width of its queries."""
    layer = nn.TransformerDecoderLayer(
        24, 8, 96, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    )
    mine = block.state_dict()
    cross = {kind: torch.cat([mine[f"cross_q.{kind}"], mine[f"cross_kv.{kind}"]]) for kind in ("weight", "bias")}
    state = {f"multihead_attn.in_proj_{kind}": cross[kind] for kind in cross}
    state |= {f"self_attn.in_proj_{kind}": mine[f"self_qkv.{kind}"] for kind in cross}
    names = {"self_out": "self_attn.out_proj", "self_norm": "norm1", "cross_out": "multihead_attn.out_proj"}
    names |= {"cross_norm": "norm2", "up": "linear1", "down": "linear2", "norm": "norm3"}
    state |= {f"{theirs}.{kind}": mine[f"{ours}.{kind}"] for ours, theirs in names.items() for kind in cross}
    layer.double().load_state_dict(state)
    return layer


@pytest.mark.parametrize("causal", [False, True])
def test_blocks_are_torchs_decoder_layers(build, tokens, exact, causal):
    resampler, views = build("qformer", hidden_dim=None, causal=causal), tokens(dtype=torch.float64)
    mask = torch.full((6, 6), -torch.inf, dtype=torch.float64).triu(1) if causal else None
    hidden = resampler.query_norm(resampler.query).expand(3, -1, -1)
    for block in resampler.blocks:
        hidden = decoder_layer(block)(hidden, views, tgt_mask=mask)
    exact(resampler(views), resampler.proj(hidden))


def test_cross_attention_frequency(config_of, tokens):
    resampler = build_resampler(config_of("qformer", num_layers=4, cross_attention_frequency=2))
    assert [block.has_cross_attention for block in resampler.blocks] == [True, False, True, False]
    assert [any("cross" in name for name in block.state_dict()) for block in resampler.blocks] == [True, False] * 2
    assert resampler(tokens()).shape == (3, 6, 10)


def test_a_causal_query_does_not_see_later_ones(build, tokens):
    resampler, views = build("qformer", causal=True), tokens(dtype=torch.float64)
    before = resampler(views)
    with torch.no_grad():
        resampler.query[:, 4, ::2] += 1
    after = resampler(views)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[:, 5], after[:, 5]).all()
