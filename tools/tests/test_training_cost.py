import pytest
import torch
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, PanoLLaVaForVICReg, add_lora
from panollava_hf.training._collator import answers_only
from torch.utils.flop_counter import FlopCounterMode
from transformers import Dinov2Config, Qwen2Config

from tools.training_cost import BEGIN, END, PAGE, PAIRS, STAGES, cost, rows

TEXT_TOKENS, LABELS, PLACEHOLDER = 40, 15, 499


def config(resampler="mlp"):
    vision = Dinov2Config(hidden_size=64, num_hidden_layers=3, num_attention_heads=2, image_size=112, patch_size=14)
    text = Qwen2Config(
        vocab_size=500, hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    return PanoLLaVaConfig(
        vision, text, resampler_type=resampler, num_latent_tokens=64, latent_dimension=48, crop_strategy="cubemap",
        fov_deg=104.0, image_token_id=PLACEHOLDER,
    )  # fmt: skip


def prepared(settings, stage, attention):
    """A model with the parts that the stage trains, as `panollava_hf.training` prepares it."""
    model = (PanoLLaVaForVICReg if stage == "vicreg" else PanoLLaVaForConditionalGeneration)(settings)
    model.set_attn_implementation(attention)
    model.requires_grad_(False)
    whole = model.base_model
    whole.vision_backbone.set_trainable_blocks(0)
    if stage in ("vicreg", "resampler"):
        whole.resampler.requires_grad_(True)
    if stage == "vicreg":
        model.vicreg_projector.requires_grad_(True)
    elif stage == "lora":
        model = add_lora(model, train_projector=False)
    elif stage == "full":
        whole.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    if stage != "vicreg":
        whole.projector.requires_grad_(True)
    return model.train()


def loss(model, settings, stage):
    pixels = torch.randn(1, 6, 3, 112, 112)
    if stage == "vicreg":
        return model(pixels).loss
    tokens = settings.num_image_tokens()
    ids = torch.randint(0, 400, (1, tokens + TEXT_TOKENS))
    ids[:, :tokens] = PLACEHOLDER
    labels = ids.clone()
    labels[:, :-LABELS] = -100
    return model(input_ids=ids, pixel_values=pixels, labels=labels, **answers_only(labels)).loss


@pytest.mark.parametrize("stage", STAGES)
def test_operations_are_those_that_torch_counts(stage):
    settings = config()
    model = prepared(settings, stage, "eager")  # torch does not count the fused attention of a CPU
    with FlopCounterMode(display=False) as counted:
        loss(model, settings, stage).backward()
    found = cost(settings, stage, text_tokens=TEXT_TOKENS, labels=LABELS)
    assert found.flops == pytest.approx(counted.get_total_flops(), rel=0.03)
    assert found.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found.weights == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("stage", STAGES)
def test_activations_are_what_autograd_saves(stage):
    settings = config()
    model = prepared(settings, stage, "sdpa")
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            saved[storage._cdata] = (storage.nbytes(), tensor)  # while the tensor lives, its address is its own
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss(model, settings, stage)
    found = cost(settings, stage, text_tokens=TEXT_TOKENS, labels=LABELS)
    # Of the logits, autograd saves the logarithms of the softmax.
    assert found.activations + found.logits / 3 == pytest.approx(sum(size for size, _ in saved.values()), rel=0.12)


def test_operations_of_pooled_tokens_are_counted_after_pooling():
    settings = config("spatial_pool")
    model = prepared(settings, "vicreg", "eager")
    with FlopCounterMode(display=False) as counted:
        loss(model, settings, "vicreg").backward()
    assert cost(settings, "vicreg", text_tokens=0).flops == pytest.approx(counted.get_total_flops(), rel=0.03)


def test_a_resampler_without_a_formula_is_refused():
    with pytest.raises(ValueError, match="resampler 'qformer': there are formulas for mlp, spatial_pool"):
        cost(config("qformer"), "resampler", text_tokens=TEXT_TOKENS)


def test_the_page_has_the_rows_of_every_pair():
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    for title in PAIRS:
        assert "\n".join(rows(title)) in table
