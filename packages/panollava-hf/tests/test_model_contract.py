"""What transformers' own suite asks of every model, on the classes as a user builds them."""

import pytest
import torch
from panollava_hf import (
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaForFeatureExtraction,
    PanoLLaVaForVICReg,
    PanoLLaVaModel,
)

CLASSES = [PanoLLaVaModel, PanoLLaVaForConditionalGeneration, PanoLLaVaForVICReg, PanoLLaVaForFeatureExtraction]
RESAMPLERS = ["mlp", "qformer", "bimamba", "perceiver", "spatial_pool", "c_abstractor"]


def build(config, cls=PanoLLaVaForConditionalGeneration, seed=0):
    torch.manual_seed(seed)
    return cls(config).eval()


@pytest.fixture
def small(tiny_config):
    """A config for every resampler and class; 16 tokens, so that a grid is fine enough to find overlaps."""

    def of(resampler="mlp", **settings):
        settings = {"num_latent_tokens": 16, "latent_dimension": 32, **settings}
        return tiny_config(resampler_type=resampler, **settings)

    return of


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cls", CLASSES)
def test_half_precision_comes_back_bit_for_bit(small, tmp_path, cls, dtype):
    model = build(small(), cls).to(dtype)
    model.save_pretrained(tmp_path)
    again = cls.from_pretrained(tmp_path, dtype="auto")
    assert again.dtype == dtype
    stored, loaded = model.state_dict(), again.state_dict()
    assert stored.keys() == loaded.keys()
    for name, value in stored.items():
        assert value.dtype == loaded[name].dtype, name
        assert torch.equal(value, loaded[name]), name
    assert {p.dtype for p in cls.from_pretrained(tmp_path, dtype=torch.float32).parameters()} == {torch.float32}


@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_half_precision_computes_what_single_does(small, tiny_inputs, resampler):
    config = small(resampler)
    model, inputs = build(config), tiny_inputs(config)
    with torch.no_grad():
        exact = model(**inputs).logits
        rough = model.bfloat16()(**inputs).logits
    assert rough.dtype == torch.bfloat16
    # bfloat16 keeps 8 bits; a dozen layers add up a few of its roundings
    assert (rough.float() - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_gradient_checkpointing_changes_no_gradient(small, tiny_inputs, resampler):
    config = small(resampler)
    model, inputs = build(config).train(), tiny_inputs(config)

    def gradients():
        model.zero_grad()
        torch.manual_seed(1)  # the perceiver and the Q-Former drop at random while they train
        loss = model(**inputs, labels=inputs["input_ids"]).loss
        loss.backward()
        return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    loss, plain = gradients()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert model.is_gradient_checkpointing
    again, checkpointed = gradients()
    torch.testing.assert_close(again, loss)
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_sdpa_is_eager(small, tiny_inputs, resampler):
    config = small(resampler)
    model, inputs = build(config), tiny_inputs(config)
    inputs["attention_mask"][0, :1] = 0
    logits = {}
    for name in ("eager", "sdpa"):
        model.set_attn_implementation(name)
        with torch.no_grad():
            logits[name] = model(**inputs).logits[:, 1:]
    torch.testing.assert_close(logits["sdpa"], logits["eager"])


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_grow_and_shrink(small, tiny_inputs, tmp_path, tied):
    config = small(tie_word_embeddings=tied, image_token_id=90)
    model, inputs = build(config), tiny_inputs(config)
    with torch.no_grad():
        before = model(**inputs).logits
    size = config.text_config.vocab_size
    model.resize_token_embeddings(size + 7, mean_resizing=False)
    assert (model.config.text_config.vocab_size, model.vocab_size) == (size + 7, size + 7)
    with torch.no_grad():
        grown = model(**inputs).logits
    assert grown.shape[-1] == size + 7
    torch.testing.assert_close(grown[..., :size], before)
    inputs["input_ids"][:, 0] = size + 6  # a new token can be read, and asked for
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert model.get_input_embeddings().weight.grad[size + 6].abs().sum() > 0
    shared = model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert shared is tied
    model.save_pretrained(tmp_path)
    again = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)
    model.resize_token_embeddings(95)
    assert model(**tiny_inputs(config)).logits.shape[-1] == 95


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("resampler", ["mlp", "bimamba", "spatial_pool", "c_abstractor"])
def test_a_model_built_on_meta_is_initialised_when_loaded(small, tmp_path, cls, resampler):
    config = small(resampler)
    with torch.device("meta"):
        hollow = cls(config)
    assert {p.device.type for p in hollow.parameters()} == {"meta"}
    assert hollow.state_dict().keys() == build(config, cls).state_dict().keys()
    bare = PanoLLaVaModel(config)
    del bare.resampler  # a checkpoint that lacks a part: what is missing starts afresh, from no garbage
    bare.save_pretrained(tmp_path)
    loaded, info = cls.from_pretrained(tmp_path, output_loading_info=True)
    assert any("resampler" in name for name in info["missing_keys"])
    fresh = build(config, cls)
    for name, value in loaded.named_parameters():
        assert torch.isfinite(value).all(), name
        assert value.device.type == "cpu", name
        expected = dict(fresh.named_parameters())[name]
        if "resampler" in name and expected.numel() > 64 and expected.std() > 0:
            assert 0.5 < value.std() / expected.std() < 2, name  # drawn from the distribution of a new model


# transformers 4.57 takes the place of the first parameter, which is on disk, for the whole model's
@pytest.mark.filterwarnings("ignore:You are calling .generate:UserWarning")
@pytest.mark.parametrize("resampler", RESAMPLERS)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_parts_may_wait_on_disk(small, tiny_inputs, tmp_path, resampler, share):
    pytest.importorskip("accelerate")
    config = small(resampler)
    config.vision_config.vision_use_head = False  # its torch.nn.MultiheadAttention cannot be offloaded at all
    model, inputs = build(config), tiny_inputs(config)
    model.save_pretrained(tmp_path / "model", max_shard_size="50KB")
    whole = sum(p.numel() * p.element_size() for p in model.parameters())
    away = PanoLLaVaForConditionalGeneration.from_pretrained(
        tmp_path / "model",
        device_map="auto",
        max_memory={"cpu": int(whole * share)},
        offload_folder=tmp_path / "away",
    )
    assert "disk" in away.hf_device_map.values()
    with torch.no_grad():
        torch.testing.assert_close(away(**inputs).logits, model(**inputs).logits)
    settings = {"max_new_tokens": 3, "do_sample": False, "suppress_tokens": [config.image_token_id]}
    assert torch.equal(away.generate(**inputs, **settings), model.generate(**inputs, **settings))


def test_blocks_stay_on_one_device(small):
    blocks = set()
    for resampler in RESAMPLERS:
        model = build(small(resampler))
        older = getattr(model, "_get_no_split_modules", None)  # transformers 4.57 collects them when it loads
        kept = set(model._no_split_modules if older is None else older("auto"))
        assert {"SiglipEncoderLayer", "Qwen2DecoderLayer"} <= kept  # what the towers declare
        blocks |= {type(part).__name__ for part in model.get_submodule("panollava.resampler").modules()} & kept
        for name, part in model.named_modules():
            mixed = [*part.parameters(recurse=False)] and [*part.children()]
            inside = any(type(model.get_submodule(above)).__name__ in kept for above in _above(name))
            assert not mixed or inside, f"{name} could be torn from its own parameters"
    assert blocks == {"QFormerResampler", "PerceiverResampler", "BiMambaBlock", "ConvBlock"}


def _above(name):
    """The module of this name and all that hold it."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


@pytest.mark.parametrize("cls", CLASSES)
def test_hidden_states_and_attentions_of_both_towers(small, tiny_inputs, cls):
    config = small()
    model, inputs = build(config, cls), tiny_inputs(config)
    model.set_attn_implementation("eager")
    views = inputs["pixel_values"].shape[:2].numel()
    if cls in (PanoLLaVaForVICReg, PanoLLaVaForFeatureExtraction):
        inputs = {"pixel_values": inputs["pixel_values"]}
    output = model(**inputs, output_hidden_states=True, output_attentions=True)
    image = getattr(output, "image_outputs", None) or output
    assert [tuple(state.shape) for state in image.hidden_states] == [(views, 16, 32)] * 3
    assert [tuple(weights.shape) for weights in image.attentions] == [(views, 2, 16, 16)] * 2
    for weights in image.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones(views, 2, 16))
    if "input_ids" in inputs:
        length = inputs["input_ids"].shape[1]
        assert [tuple(state.shape) for state in output.hidden_states] == [(2, length, 32)] * 3
        assert [tuple(weights.shape) for weights in output.attentions] == [(2, 4, length, length)] * 2
