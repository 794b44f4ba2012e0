import json

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor
from panollava_hf.cli import run
from transformers import AutoModelForCausalLM, Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM


@pytest.fixture(scope="module")
def towers(tmp_path_factory, checkpoint):
    """Two tower folders as the Hub has them: DINOv2 with its preprocessor, LLaMA with a plain tokenizer."""
    folder = tmp_path_factory.mktemp("towers")
    vision = Dinov2Config(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, image_size=70, patch_size=14)
    Dinov2Model(vision).save_pretrained(folder / "vision")
    statistics = {
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.2, 0.2],
        "image_processor_type": "BitImageProcessor",
    }
    (folder / "vision" / "preprocessor_config.json").write_text(json.dumps(statistics))
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate(["?", "<eos>", "What", "is", "ahead", "user", ":"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>").save_pretrained(
        folder / "text"
    )
    text = LlamaConfig(
        vocab_size=7, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, eos_token_id=1
    )
    LlamaForCausalLM(text).save_pretrained(folder / "text")
    return folder


def test_towers_keep_their_weights_and_the_connector_is_fresh(towers):
    model = PanoLLaVaForConditionalGeneration.from_towers(
        vision=str(towers / "vision"), text=str(towers / "text"), view_size=28, latent_dimension=16
    )
    vision = Dinov2Model.from_pretrained(towers / "vision")
    text = AutoModelForCausalLM.from_pretrained(towers / "text")
    pixels = torch.randn(2, 3, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(model.vision_backbone(pixels), vision(pixels).last_hidden_state[:, 1:])
        ids = torch.tensor([[2, 3, 4]])
        torch.testing.assert_close(model(input_ids=ids).logits[..., :7], text(ids).logits)
    assert model.config.image_token_id == 7
    assert model.config.text_config.vocab_size == 8
    assert model.config.connector_trained is False
    assert all(p.device.type == "cpu" and torch.isfinite(p).all() for p in model.parameters())
    assert 0 < model.projector.linear.weight.std() < 0.1
    assert model.generation_config.suppress_tokens == [7]


def test_joined_folder_answers(towers, tmp_path, panorama_file, capsys):
    output = tmp_path / "joined"
    arguments = ["join", str(output), "--vision", str(towers / "vision"), "--text", str(towers / "text")]
    assert run([*arguments, "--view-size", "28", "--latent-dimension", "16"]) == 0
    processor = PanoLLaVaProcessor.from_pretrained(output)
    assert processor.image_processor.image_mean == [0.4, 0.5, 0.6]
    capsys.readouterr()
    assert run(["ask", str(panorama_file), "What is ahead", "--model", str(output), "--max-new-tokens", "3"]) == 0
    assert "untrained" in capsys.readouterr().err
    assert run(arguments) == 2  # never overwrites
    assert "already exists" in capsys.readouterr().err


def test_joined_model_is_bit_identical_after_saving(towers, tmp_path):
    model = PanoLLaVaForConditionalGeneration.from_towers(
        vision=str(towers / "vision"), text=str(towers / "text"), view_size=28, latent_dimension=16
    )
    model.save_pretrained(tmp_path)
    again = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path).eval()
    count = model.config.num_image_tokens()
    inputs = {"input_ids": torch.tensor([[2] + [7] * count + [3]]), "pixel_values": torch.randn(1, 7, 3, 28, 28)}
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, again(**inputs).logits)


@pytest.mark.parametrize("missing", ["vision", "text"])
def test_a_tower_that_is_not_there_is_one_line(towers, tmp_path, capsys, missing):
    names = {"vision": str(towers / "vision"), "text": str(towers / "text"), missing: "no/such-tower"}
    code = run(["join", str(tmp_path / "out"), "--vision", names["vision"], "--text", names["text"]])
    err = capsys.readouterr().err.strip()
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "no/such-tower" in err
    assert not (tmp_path / "out").exists()


def test_a_vision_tower_without_statistics_is_named(towers, tmp_path):
    Dinov2Model(Dinov2Config(hidden_size=48, num_hidden_layers=1, num_attention_heads=3)).save_pretrained(tmp_path)
    model = PanoLLaVaForConditionalGeneration.from_towers(str(tmp_path), str(towers / "text"), view_size=28)
    with pytest.raises(ValueError, match="does not give the mean and std"):
        PanoLLaVaProcessor.from_towers(str(tmp_path), str(towers / "text"), model.config)


def test_a_generic_tokenizer_gets_no_tokens_of_its_family(tmp_path, towers):
    """A text tower of a family whose own tokenizer class adds tokens, with a tokenizer.json that is complete."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    words = {word: index for index, word in enumerate(["?", "<eos>", "What", "is", "ahead"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>").save_pretrained(tmp_path)
    text = Qwen2Config(
        vocab_size=8,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=1,
    )
    Qwen2ForCausalLM(text).save_pretrained(tmp_path)
    settings = {"vision": str(towers / "vision"), "text": str(tmp_path)}
    model = PanoLLaVaForConditionalGeneration.from_towers(**settings, view_size=28, latent_dimension=16)
    processor = PanoLLaVaProcessor.from_towers(**settings, config=model.config)
    assert model.config.image_token_id == processor.image_token_id == len(words)
    assert set(processor.tokenizer.get_vocab()) == {*words, "<|vision|>"}


def test_towers_are_joined_with_adapters_when_the_config_says_so(towers):
    settings = {"vision": str(towers / "vision"), "text": str(towers / "text")}
    model = PanoLLaVaForConditionalGeneration.from_towers(
        **settings, view_size=28, latent_dimension=16, use_lora=True, lora_r=2
    )
    adapted = [name for name, _ in model.named_parameters() if ".lora_A." in name]
    assert len(adapted) == 2 * 7
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
