"""Names and licences of towers stay with a model: joined, trained from, saved, exported; paths of a machine do not."""

import json
import os

import pytest
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration
from panollava_hf.cli import run
from panollava_hf.hub import export_checkpoint
from panollava_hf.outside._model_card import stated_licence, tower_source
from panollava_hf.training._recipe import ModelSettings
from panollava_hf.training._start import write_start
from transformers import Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SOURCES = {
    "vision_source": {"name": "my-dino", "base_model": "facebook/dinov2-small", "license": "apache-2.0"},
    "text_source": {"name": "words", "license": "qwen-research"},
}


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    from tokenizers import Tokenizer, models

    folder = tmp_path_factory.mktemp("machine")
    Dinov2Model(
        Dinov2Config(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    ).save_pretrained(folder / "my-dino")
    statistics = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "image_processor_type": "BitImageProcessor"}
    (folder / "my-dino" / "preprocessor_config.json").write_text(json.dumps(statistics))
    (folder / "my-dino" / "README.md").write_text(
        "---\nlicense: apache-2.0\nbase_model:\n- facebook/dinov2-small\n---\n# A tower\n"
    )
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "<eos>": 1}, unk_token="?"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>").save_pretrained(
        folder / "words"
    )
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=2,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            eos_token_id=1,
        )
    ).save_pretrained(folder / "words")
    (folder / "words" / "README.md").write_text("---\r\nlicense: other\r\nlicense_name: qwen-research\r\n---\r\n")
    vision, text = str(folder / "my-dino"), f"{folder / 'words'}/"
    assert run(["join", str(folder / "joined"), "--vision", vision, "--text", text, "--latent-dimension", "16"]) == 0
    return folder / "joined"


def sources_in(folder):
    config = json.loads((folder / "config.json").read_text())
    return {name: config[name] for name in SOURCES}


def without_paths(folder, machine):
    """No file of a folder holds the path of the towers."""
    return [name for name in os.listdir(folder) if str(machine).encode() in (folder / name).read_bytes()] == []


def test_join_save_train_and_export_keep_them(joined, tmp_path):
    assert sources_in(joined) == SOURCES
    assert without_paths(joined, joined.parent)
    PanoLLaVaForConditionalGeneration.from_pretrained(joined).save_pretrained(tmp_path / "saved")
    assert sources_in(tmp_path / "saved") == SOURCES
    write_start(ModelSettings(path=str(joined)), None, tmp_path / "start", 0)
    assert sources_in(tmp_path / "start") == SOURCES
    exported = export_checkpoint(joined, tmp_path / "exported")
    assert sources_in(exported) == SOURCES
    assert without_paths(exported, joined.parent)
    card = (exported / "README.md").read_text()
    link = "[facebook/dinov2-small](https://huggingface.co/facebook/dinov2-small)"
    assert f"| vision tower | `my-dino` (`dinov2`, from {link}), licence `apache-2.0` |" in card
    assert "| language model | `words` (`llama`), licence `qwen-research` |" in card
    assert "base_model:\n- facebook/dinov2-small\n" in card


def test_vectors_keep_the_vision_tower_alone(joined, tmp_path):
    folder = export_checkpoint(joined, tmp_path / "vectors", purpose="embedding")
    assert sources_in(folder) == {"vision_source": SOURCES["vision_source"], "text_source": None}


def test_a_hub_id_with_its_commit(tmp_path):
    snapshot = tmp_path / "snapshots" / ("0123456789" * 4)
    snapshot.mkdir(parents=True)
    (snapshot / "README.md").write_text("---\nlicense: mit\nbase_model: other/model\n---\n")
    expected = {"name": "owner/tower", "license": "mit", "revision": "0123456789" * 4}
    assert tower_source("owner/tower", snapshot) == expected


def test_configs_without_the_fields_and_with_wrong_ones():
    old = PanoLLaVaConfig().to_dict()
    del old["vision_source"], old["text_source"]
    assert PanoLLaVaConfig.from_dict(old).vision_source is None
    named = PanoLLaVaConfig(vision_source={"name": "/home/me/secret/tower", "license": "mit"})
    assert named.vision_source == {"name": "tower", "license": "mit"}
    for wrong in ("tower", {"name": 5}, {"path": "x"}, {"name": "x" * 1000}, [["name", "x"]]):
        with pytest.raises(ValueError, match="vision_source must be an object with texts for name, base_model"):
            PanoLLaVaConfig(vision_source=wrong)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("license:\n- mit\n", "mit"),
        ("license:\n  - mit\n  - apache-2.0\n", None),
        ('license: "Apache-2.0"\n', "Apache-2.0"),
        ("license: other\n", "other"),
        ("tags:\n- mit\n", None),
        ("license: [mit](x)\n", None),
    ],
)
def test_licences_in_cards(tmp_path, card, licence):
    (tmp_path / "README.md").write_text(f"---\n{card}---\n")
    assert stated_licence(tmp_path) == licence
