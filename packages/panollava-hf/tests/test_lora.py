import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf.lora import add_lora, lora_config, trainable_report
from peft import PeftModel, get_peft_model


def randomised(model):
    """Adapters start as the identity; give them something to do."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    return model.eval()


def test_adapters_sit_on_the_language_model_alone(tiny_config):
    model = add_lora(PanoLLaVaForConditionalGeneration(tiny_config(lora_r=3)))
    adapted = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert adapted
    assert all(".language_model." in name for name in adapted)
    # 2 layers of q, k, v, o, gate, up, down
    assert len(adapted) == 2 * 7
    assert all(p.shape[0] == 3 for n, p in model.named_parameters() if "lora_A" in n)


def test_report_counts_what_trains(tiny_config):
    model = add_lora(PanoLLaVaForConditionalGeneration(tiny_config(lora_r=2)), train_projector=False)
    report = trainable_report(model)
    # rank r on in -> out adds r (in + out): 32 -> 32 (q, o), 32 -> 16 (k, v), 32 <-> 64 (gate, up, down); 2 layers
    assert report == {"language_model": (2 * 2 * (2 * 64 + 2 * 48 + 3 * 96), report["language_model"][1])}


def test_only_adapters_and_projector_learn(tiny_config, tiny_inputs):
    config = tiny_config()
    model = add_lora(PanoLLaVaForConditionalGeneration(config)).train()
    inputs = tiny_inputs(config)
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    learning = {n for n, p in model.named_parameters() if p.grad is not None}
    assert learning
    assert all("lora_" in n or ".projector." in n for n in learning)


def test_adapter_is_saved_alone_and_comes_back(tiny_config, tiny_inputs, tmp_path):
    config = tiny_config()
    base = PanoLLaVaForConditionalGeneration(config)
    base.save_pretrained(tmp_path / "base")
    model = randomised(add_lora(base))
    model.save_pretrained(tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    again = PeftModel.from_pretrained(
        PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    ).eval()
    inputs = tiny_inputs(config)
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_merged_model_is_a_plain_one_with_the_same_logits(tiny_config, tiny_inputs, tmp_path):
    config = tiny_config()
    model = randomised(add_lora(PanoLLaVaForConditionalGeneration(config)))
    inputs = tiny_inputs(config)
    with torch.no_grad():
        expected = model(**inputs).logits
        merged = model.merge_and_unload()
        torch.testing.assert_close(merged(**inputs).logits, expected, rtol=1e-4, atol=1e-5)
    assert type(merged) is PanoLLaVaForConditionalGeneration
    merged.save_pretrained(tmp_path)
    again = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, merged(**inputs).logits)


def test_plain_peft_works_with_our_targets(tiny_config):
    model = PanoLLaVaForConditionalGeneration(tiny_config())
    wrapped = get_peft_model(model, lora_config(model, r=5))
    assert {p.shape[0] for n, p in wrapped.named_parameters() if "lora_A" in n} == {5}


def test_gradient_checkpointing_with_adapters(tiny_config, tiny_inputs):
    config = tiny_config()
    torch.manual_seed(3)
    inputs = tiny_inputs(config)
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = add_lora(PanoLLaVaForConditionalGeneration(config), lora_dropout=0.0).train()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


@pytest.mark.parametrize("name", ["q_proj"])
def test_the_same_names_exist_in_the_vision_tower(tiny_config, name):
    # why bare names are not enough
    model = PanoLLaVaForConditionalGeneration(tiny_config())
    assert any(n.endswith(name) for n, _ in model.vision_backbone.named_modules())
