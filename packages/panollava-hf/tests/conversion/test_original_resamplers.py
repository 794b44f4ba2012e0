"""The converted resamplers compute what the originals did: transformers' BERT, and the tensors of a trained run."""

import json

import pytest
import torch
from panollava_core import build_resampler
from panollava_hf.conversion._original_resamplers import convert_original_qformer, convert_original_resampler
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

WIDTH, LATENT, QUERIES = 24, 10, 6


@pytest.fixture
def bert():
    """The original's Q-Former: a BERT decoder whose input embeddings are the queries."""
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 8, "intermediate_size": 4 * WIDTH}
    model = BertModel(BertConfig(**sizes, vocab_size=50, is_decoder=True, add_cross_attention=True)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def original_state(bert):
    state = {f"bert.{name}": tensor for name, tensor in bert.state_dict().items()}
    state |= {"query": torch.randn(1, QUERIES, WIDTH), "proj.weight": torch.randn(LATENT, WIDTH)}
    return {**state, "proj.bias": torch.randn(LATENT)}


def config(kind, **options):
    return {"type": kind, "input_dim": WIDTH, "latent_dimension": LATENT, "num_layers": 2, **options}


@torch.no_grad()
def test_qformer_computes_what_bert_does(bert):
    state, tokens = original_state(bert), torch.randn(3, 20, WIDTH)
    hidden = bert(inputs_embeds=state["query"].expand(3, -1, -1), encoder_hidden_states=tokens).last_hidden_state
    expected = torch.nn.functional.linear(hidden, state["proj.weight"], state["proj.bias"])
    resampler = build_resampler(config("qformer", num_latent_tokens=QUERIES, causal=True))
    resampler.load_state_dict(convert_original_resampler("qformer", state))
    torch.testing.assert_close(resampler(tokens), expected, rtol=1e-4, atol=1e-4)


def test_what_bert_never_used_is_left_out(bert):
    state = original_state(bert)
    kept = {name: t for name, t in state.items() if "pooler" not in name and "word_embeddings" not in name}
    assert len(kept) < len(state)
    expected = convert_original_qformer(state)
    for name, tensor in convert_original_qformer(kept).items():
        assert torch.equal(tensor, expected[name]), name


def test_a_missing_tensor_is_named(bert):
    state = original_state(bert)
    del state["bert.encoder.layer.1.output.dense.bias"]
    with pytest.raises(KeyError, match=r"bert\.encoder\.layer\.1\.output\.dense\.bias"):
        convert_original_resampler("qformer", state)


@pytest.mark.parametrize("kind", ["mlp", "bimamba"])
def test_the_others_kept_their_names(kind):
    state = build_resampler(config(kind)).state_dict()
    assert convert_original_resampler(kind, state) == state


def test_other_resamplers_did_not_exist():
    with pytest.raises(ValueError, match="had no resampler 'perceiver'; expected one of mlp, qformer, bimamba"):
        convert_original_resampler("perceiver", {})


def test_latents_of_a_trained_run(shared):
    folder = shared / "fixtures" / "lightning"
    settings = json.loads((folder / "resampler_qformer.model_config.json").read_text())
    weights = torch.load(folder / "resampler_qformer.ckpt", weights_only=True)["state_dict"]
    prefix = "model.resampler."
    state = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    reference = load_file(folder / "resampler_qformer.reference.safetensors")
    resampler = build_resampler(
        {
            "type": "qformer",
            "input_dim": reference["vision_features"].shape[-1],
            "latent_dimension": settings["latent_dimension"],
            "num_latent_tokens": settings["resampler_num_query_tokens"],
            "num_layers": settings["resampler_num_hidden_layers"],
            "causal": True,
        }
    )
    resampler.load_state_dict(convert_original_resampler("qformer", state))
    with torch.no_grad():
        found = resampler(reference["vision_features"])
    torch.testing.assert_close(found, reference["resampled_features"], rtol=0, atol=1e-4)
