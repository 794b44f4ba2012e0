"""What transformers' generation suite asks of a model, for every resampler, with tied and untied heads."""

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf._compat import CACHE_NAME
from transformers import DynamicCache, StaticCache

NEW = 4
CASES = [("mlp", True), ("qformer", False)]  # one that keeps the grid and one that does not; the others are slow
OTHERS = [
    pytest.param((name, tied), marks=pytest.mark.slow)
    for name in ("mlp", "qformer", "bimamba", "perceiver", "spatial_pool", "c_abstractor")
    for tied in (True, False)
    if (name, tied) not in CASES
]
GREEDY = {"do_sample": False, "max_new_tokens": NEW, "min_new_tokens": NEW}
EVERYTHING = {
    "return_dict_in_generate": True,
    "output_scores": True,
    "output_logits": True,
    "output_hidden_states": True,
    "output_attentions": True,
}


@pytest.fixture(scope="module", params=[*CASES, *OTHERS], ids=lambda case: f"{case[0]}-{case[1]}")
def case(request, tiny_config, tiny_inputs):
    """A model whose greedy tokens are far from ties, and two prompts with a panorama each."""
    resampler, tied = request.param
    torch.manual_seed(0)
    config = tiny_config(
        resampler_type=resampler, tie_word_embeddings=tied, num_latent_tokens=4, latent_dimension=32, overlap_ratio=0.0
    )
    config.text_config.initializer_range = config.initializer_range = 0.3
    model = PanoLLaVaForConditionalGeneration(config)
    model.set_attn_implementation("eager")  # which alone returns attentions
    model.generation_config.suppress_tokens = [config.image_token_id]
    model.generation_config.eos_token_id = None
    return model.eval(), tiny_inputs(config)


def first(inputs):
    return {name: value[:1] for name, value in inputs.items()}


def test_every_output_of_every_step(case):
    model, inputs = case
    text, length = model.config.text_config, inputs["input_ids"].shape[1]
    for cached in (True, False):
        output = model.generate(**inputs, **GREEDY, **EVERYTHING, use_cache=cached)
        assert output.sequences.shape == (2, length + NEW)
        assert [tuple(score.shape) for score in output.scores] == [(2, text.vocab_size)] * NEW
        assert [tuple(logit.shape) for logit in output.logits] == [(2, text.vocab_size)] * NEW
        reads = [length] + [1] * (NEW - 1) if cached else [length + step for step in range(NEW)]
        for step, (hidden, attention) in enumerate(zip(output.hidden_states, output.attentions, strict=True)):
            assert [tuple(h.shape) for h in hidden] == [(2, reads[step], 32)] * (text.num_hidden_layers + 1)
            assert [tuple(a.shape) for a in attention] == [(2, 4, reads[step], length + step)] * text.num_hidden_layers
        cache = output.get(CACHE_NAME)
        if cached:
            assert isinstance(cache, DynamicCache)
            assert cache.get_seq_length() == length + NEW - 1
            assert len(cache) == text.num_hidden_layers
        else:
            assert cache is None


def test_decoding_without_a_cache_gives_the_same_tokens(case):
    model, inputs = case
    assert torch.equal(model.generate(**inputs, **GREEDY), model.generate(**inputs, **GREEDY, use_cache=False))


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("beams", [1, 2])
def test_beams_and_samples_return_what_is_asked(case, beams, sampled, cached):
    model, inputs = case
    returned = 1 if (beams, sampled) == (1, False) else 2
    settings = {"num_beams": beams, "do_sample": sampled, "num_return_sequences": returned, "use_cache": cached}
    torch.manual_seed(0)
    output = model.generate(**inputs, **EVERYTHING, max_new_tokens=NEW, min_new_tokens=NEW, **settings)
    length = inputs["input_ids"].shape[1]
    assert output.sequences.shape == (2 * returned, length + NEW)
    assert torch.equal(output.sequences[::returned, :length], inputs["input_ids"])
    rows = 2 * (beams if beams > 1 else returned)
    assert {score.shape[0] for score in output.scores} == {rows}
    if beams > 1:
        scores = model.compute_transition_scores(output.sequences, output.scores, output.beam_indices)
        ended = scores.sum(-1) / NEW  # length penalty 1
        torch.testing.assert_close(ended, output.sequences_scores, rtol=1e-3, atol=1e-3)


def test_one_beam_search_equals_two_alone(case):
    model, inputs = case
    settings = {**GREEDY, "num_beams": 3}
    together = model.generate(**inputs, **settings)
    alone = [model.generate(**{n: v[i : i + 1] for n, v in inputs.items()}, **settings) for i in range(2)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("helper", ["assistant_model", "prompt_lookup_num_tokens"])
def test_speculation_does_not_change_greedy_tokens(case, helper):
    model, inputs = case
    settings = {"do_sample": False, "max_new_tokens": 6, "eos_token_id": -1}
    expected = model.generate(**first(inputs), **settings)
    if helper == "assistant_model":
        model.generation_config.num_assistant_tokens = 2
        model.generation_config.num_assistant_tokens_schedule = "constant"
        tokens = model.generate(**first(inputs), **settings, assistant_model=model)
    else:
        tokens = model.generate(**first(inputs), **settings, prompt_lookup_num_tokens=2)
    assert torch.equal(tokens, expected)


def test_static_cache(case):
    model, inputs = case
    length = inputs["input_ids"].shape[1]
    settings = {**GREEDY, "return_dict_in_generate": True, "disable_compile": True}
    static = model.generate(**inputs, **settings, cache_implementation="static")
    assert torch.equal(static.sequences, model.generate(**inputs, **GREEDY))
    cache = static.get(CACHE_NAME)
    assert isinstance(cache, StaticCache)
    assert tuple(cache.layers[0].keys.shape) == (2, 2, length + NEW - 1, 8)


@pytest.mark.parametrize("beams", [1, 2])
def test_embeddings_instead_of_ids(case, beams):
    model, inputs = case
    ids = inputs["input_ids"]
    others = {name: value for name, value in inputs.items() if name != "input_ids"}
    settings = {**GREEDY, "num_beams": beams}
    expected = model.generate(ids, **others, **settings)
    embedded = model.get_input_embeddings()(ids).detach()
    assert torch.equal(model.generate(ids, inputs_embeds=embedded, **others, **settings), expected)
    assert torch.equal(model.generate(inputs_embeds=embedded, **others, **settings), expected[:, ids.shape[1] :])
    static = {"cache_implementation": "static", "disable_compile": True} if beams == 1 else {}
    tokens = model.generate(inputs_embeds=embedded, **others, **settings, **static)
    assert torch.equal(tokens, expected[:, ids.shape[1] :])


def test_embeddings_of_another_text(case):
    # placeholders and no pixels: the embeddings speak for themselves
    model, inputs = case
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    settings = {**GREEDY, "return_dict_in_generate": True, "output_scores": True, "attention_mask": mask}
    scores = model.generate(ids, inputs_embeds=model.get_input_embeddings()(ids).detach(), **settings).scores
    other = model.generate(ids, inputs_embeds=torch.rand(*ids.shape, 32), **settings).scores
    assert not any(torch.allclose(a, b) for a, b in zip(scores, other, strict=True))


def test_generation_goes_on_from_a_cache_with_the_same_inputs(case):
    # the pixels are passed again, though the cache holds their tokens
    model, inputs = case
    whole = model.generate(**inputs, do_sample=False, max_new_tokens=4)
    begun = model.generate(**inputs, do_sample=False, max_new_tokens=3, return_dict_in_generate=True)
    again = {
        **inputs,
        "input_ids": begun.sequences,
        "attention_mask": torch.nn.functional.pad(inputs["attention_mask"], (0, 3), value=1),
        CACHE_NAME: begun.get(CACHE_NAME),
    }
    assert torch.equal(model.generate(**again, do_sample=False, max_new_tokens=1), whole)


def test_padding_on_the_left_changes_no_logits(case):
    model, inputs = case
    padded = {
        "input_ids": torch.nn.functional.pad(inputs["input_ids"], (9, 0), value=0),
        "attention_mask": torch.nn.functional.pad(inputs["attention_mask"], (9, 0), value=0),
    }
    padded["position_ids"] = (padded["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        expected = model(**inputs).logits[:, -1]
        got = model(**padded, pixel_values=inputs["pixel_values"]).logits[:, -1]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_all_logits_or_the_last_alone(case):
    model, inputs = case
    assert torch.equal(model.generate(**inputs, **GREEDY, logits_to_keep=0), model.generate(**inputs, **GREEDY))
