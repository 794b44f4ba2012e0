import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf._lora import add_lora, lora_config, merge_lora, trainable_report
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText


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


def adapted_names(model):
    return {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A." in name}


def test_use_lora_puts_adapters_on_the_language_model_when_built(tiny_config, tiny_inputs):
    torch.manual_seed(0)
    plain = PanoLLaVaForConditionalGeneration(tiny_config()).eval()
    torch.manual_seed(0)
    config = tiny_config(use_lora=True, lora_r=3, lora_alpha=5)
    model = PanoLLaVaForConditionalGeneration(config).eval()
    names = adapted_names(model)
    assert len(names) == 2 * 7
    assert all(".language_model." in name for name in names)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        name for name, _ in model.named_parameters() if ".lora_" in name
    }
    assert model.get_submodule(min(names)).scaling == {"default": 5 / 3}
    assert set(trainable_report(model)) == {"language_model"}
    inputs = tiny_inputs(config)
    with torch.no_grad():  # fresh adapters change nothing
        assert torch.equal(model(**inputs).logits, plain(**inputs).logits)
    model.train()(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert {n for n, p in model.named_parameters() if p.grad is not None} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }


def test_adapters_live_in_their_own_folder_beside_the_base(tiny_config, tiny_inputs, tmp_path):
    config = tiny_config(use_lora=True, lora_r=2)
    model = randomised(PanoLLaVaForConditionalGeneration(config))
    model.save_pretrained(tmp_path)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {f.name for f in (tmp_path / "adapter").iterdir()}
    assert str(tmp_path) not in (tmp_path / "adapter" / "adapter_config.json").read_text()
    inputs = tiny_inputs(config)
    again, info = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert not again.training
    # what peft itself makes of the two parts
    base = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path, use_lora=False)
    wrapped = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        wanted = model(**inputs).logits
        assert torch.equal(again(**inputs).logits, wanted)
        assert torch.equal(wrapped(**inputs).logits, wanted)
    # and once more round
    again.save_pretrained(tmp_path / "second")
    third = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path / "second").eval()
    with torch.no_grad():
        assert torch.equal(third(**inputs).logits, wanted)


def test_use_lora_on_a_plain_checkpoint_starts_fresh_adapters(tiny_config, tiny_inputs, tmp_path):
    config = tiny_config()
    plain = PanoLLaVaForConditionalGeneration(config).eval()
    plain.save_pretrained(tmp_path)
    model = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path, use_lora=True, lora_r=4)
    assert len(adapted_names(model)) == 2 * 7
    assert {p.shape[0] for n, p in model.named_parameters() if "lora_A" in n} == {4}
    inputs = tiny_inputs(config)
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, plain(**inputs).logits)
    assert adapted_names(PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path)) == set()


def test_carried_adapters_merge_into_a_plain_checkpoint(tiny_config, tiny_inputs, tmp_path):
    config = tiny_config(use_lora=True)
    model = randomised(PanoLLaVaForConditionalGeneration(config))
    inputs = tiny_inputs(config)
    with torch.no_grad():
        wanted = model(**inputs).logits
    merged = merge_lora(model)
    assert merged is model
    assert adapted_names(merged) == set()
    merged.save_pretrained(tmp_path)
    assert not (tmp_path / "adapter").exists()
    again = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert again.config.use_lora is False
    with torch.no_grad():
        torch.testing.assert_close(again(**inputs).logits, wanted, rtol=1e-4, atol=1e-5)


def test_an_adapter_that_is_merged_already_stays_off(tiny_config, tiny_inputs, tmp_path):
    # the finetune stage leaves its adapter beside the weights that it was merged into
    config = tiny_config()
    model = randomised(add_lora(PanoLLaVaForConditionalGeneration(config), train_projector=False))
    model.save_pretrained(tmp_path / "adapter")
    merged = merge_lora(model)
    merged.save_pretrained(tmp_path)
    inputs = tiny_inputs(config)
    with torch.no_grad():
        wanted = merged.eval()(**inputs).logits
        for settings in ({}, {"use_lora": True}):
            again = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path, **settings).eval()
            assert torch.equal(again(**inputs).logits, wanted)


def test_wrapping_a_model_that_carries_adapters_keeps_what_they_learnt(tiny_config, tiny_inputs):
    config = tiny_config(use_lora=True)
    model = randomised(PanoLLaVaForConditionalGeneration(config))
    inputs = tiny_inputs(config)
    with torch.no_grad():
        wanted = model(**inputs).logits
        wrapped = add_lora(model).eval()
        torch.testing.assert_close(wrapped(**inputs).logits, wanted, rtol=1e-4, atol=1e-5)
    assert len([n for n, _ in wrapped.named_parameters() if ".lora_A." in n]) == 2 * 7


def test_an_adapter_of_another_model_is_refused(tiny_config, tmp_path):
    PanoLLaVaForConditionalGeneration(tiny_config(use_lora=True)).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    tensors.pop(min(tensors))
    save_file(tensors, tmp_path / "adapter" / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="does not fit the model: missing weights"):
        PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path)


def test_auto_classes_put_adapters_on_too(tiny_config, tmp_path):
    PanoLLaVaForConditionalGeneration(tiny_config()).save_pretrained(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path, use_lora=True)
    assert len(adapted_names(model)) == 2 * 7
    model.gradient_checkpointing_enable()  # asks for gradients at the inputs, as the base is frozen
    assert len(adapted_names(AutoModelForImageTextToText.from_config(model.config))) == 2 * 7


def test_peft_may_put_the_same_adapter_on_again(tiny_config, tiny_inputs, tmp_path):
    # as with every other model: base first, then PeftModel
    config = tiny_config(use_lora=True)
    model = randomised(PanoLLaVaForConditionalGeneration(config))
    model.save_pretrained(tmp_path)
    base = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path)
    wrapped = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    inputs = tiny_inputs(config)
    with torch.no_grad():
        wanted = model(**inputs).logits
        assert torch.equal(wrapped(**inputs).logits, wanted)
        torch.testing.assert_close(wrapped.merge_and_unload()(**inputs).logits, wanted, rtol=1e-4, atol=1e-5)
