"""`panollava export --for embedding`: files, card, vectors without our packages, and the push."""

import json
import os
import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForFeatureExtraction, default_checkpoint
from panollava_hf._errors import ExportError
from panollava_hf._loading import load_embedder
from panollava_hf.cli import run
from panollava_hf.hub import export_checkpoint, plan_push
from panollava_hf.outside._model_card import stated_licence
from safetensors.torch import load_file

HERE = Path(__file__).parent
OTHER_FILES = {
    *("README.md", "config.json", "model.safetensors", "preprocessor_config.json"),
    *("config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"),
}


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """A small DINOv2 with a card, as a folder of transformers."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("towers") / "dino-tiny"
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}).save_pretrained(folder)
    (folder / "README.md").write_text("---\ntags:\n- vision\nlicense: apache-2.0\n---\n\n# A tower\nlicense: other\n")
    return folder


@pytest.fixture(scope="module", params=["embedded", "tower"])
def source(request, tower):
    return default_checkpoint() if request.param == "embedded" else tower


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "vectors"
    assert run(["export", str(folder), "--for", "embedding", "--model", str(source), "--repo-id", "owner/vectors"]) == 0
    return folder


def test_files_and_weights_are_those_of_the_vision_side(source, exported):
    names = set(os.listdir(exported))
    assert {name for name in names if not name.endswith(".py")} == OTHER_FILES
    assert not {name for name in names if name.startswith(("processing", "marks"))}
    keys = load_file(exported / "model.safetensors").keys()
    assert {key.split(".")[1] for key in keys} <= {"vision_backbone", "resampler"}
    config = json.loads((exported / "config.json").read_text())
    model, _ = load_embedder(source)
    assert config["architectures"] == ["PanoLLaVaForFeatureExtraction"]
    assert config["projection_dim"] == model.config.projection_dim
    assert config["text_config"]["vocab_size"] == 1
    assert config["auto_map"] == {
        "AutoConfig": "configuration_panollava.PanoLLaVaConfig",
        "AutoModel": "modeling_panollava_vision.PanoLLaVaForFeatureExtraction",
        "AutoImageProcessor": "image_processing_panollava.PanoLLaVaImageProcessor",
    }
    processor = json.loads((exported / "preprocessor_config.json").read_text())
    assert processor["auto_map"] == {"AutoImageProcessor": config["auto_map"]["AutoImageProcessor"]}
    assert str(source).encode() not in b"".join((exported / name).read_bytes() for name in names)


def test_vectors_without_our_packages(source, exported, clean_run, embedding_material, tmp_path):
    """As `nox -s embedding-compat`, with transformers alone."""
    panoramas = embedding_material.write_panoramas(tmp_path)
    embedding_material.write_vectors(source, panoramas, tmp_path / "vectors.json")
    done = clean_run(HERE / "embedding_probe.py", exported, tmp_path / "vectors.json", "transformers")
    report = json.loads(done.stdout.splitlines()[-1])["transformers"]
    assert max(report.values()) <= 1e-6


def test_parts_are_pickled_by_name(exported, clean_run):
    pytest.importorskip("cloudpickle"), pytest.importorskip("dill")
    done = clean_run(HERE / "pickling_probe.py", "sizes", exported)
    assert list(json.loads(done.stdout.splitlines()[-1])) == ["PanoLLaVaConfig", "PanoLLaVaImageProcessor"]


def test_card(source, exported):
    card = ModelCard.load(exported / "README.md")
    assert card.data.library_name == "sentence-transformers"
    assert card.data.pipeline_tag == "image-feature-extraction"
    assert {"custom_code", "panorama", "feature-extraction"} <= set(card.data.tags)
    assert card.data.license == ("mit" if source == default_checkpoint() else "apache-2.0")
    width = json.loads((exported / "config.json").read_text())["projection_dim"]
    assert f"| vector | {width} numbers" in card.text
    assert "Make the vectors of the index and of the queries in the same way" in card.text
    assert ("| resampler |" in card.text) == ("The vision tower is unchanged" not in card.text)
    assert card.text.count('model_id, revision = "owner/vectors", "main"') == 2
    assert "$ panollava embed photographs -o vectors.parquet --model owner/vectors\n" in card.text
    assert "untrained" not in card.text
    assert "\n\n\n" not in card.text


def test_push_and_the_example_of_the_card(exported, hub, client_run, clean_run, embedding_material, tmp_path):
    push = "import sys; from panollava_hf.cli import run; run(['push', sys.argv[1], 'owner/found', '--tag', 'v1'])"
    client_run(push, exported, endpoint=hub.endpoint, token=hub.token)
    repository = hub.repositories["owner/found"]
    files = repository.commits[repository.tags["v1"]]
    assert set(files) == {*os.listdir(exported), ".gitattributes"}
    card = files["README.md"].decode()
    assert card.count('model_id, revision = "owner/found", "v1"') == 2
    assert "--model owner/found\n" in card
    first, second = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    compile(first, "sentence-transformers", "exec")  # `nox -s embedding-compat` runs it
    embedding_material.write_panoramas(tmp_path)[1].rename(tmp_path / "panorama.jpg")
    (tmp_path / "example.py").write_text(second)
    done = clean_run(tmp_path / "example.py", endpoint=hub.endpoint, token=hub.token)
    width = json.loads(files["config.json"])["projection_dim"]
    assert done.stdout.strip() == f"torch.Size([1, {width}])"


def test_an_export_is_exported_again(exported, tmp_path):
    again = export_checkpoint(exported, tmp_path / "again", purpose="embedding")
    for name in os.listdir(exported):
        if name.endswith((".json", ".py")):
            assert (again / name).read_text() == (exported / name).read_text(), name
    old, new = (load_file(folder / "model.safetensors") for folder in (exported, again))
    assert set(old) == set(new)
    assert all(torch.equal(old[name], new[name]) for name in old)
    plan_push(again, "owner/name")


@pytest.mark.parametrize("kind", ["PanoLLaVaForVICReg", "PanoLLaVaForConditionalGeneration"])
def test_vision_sides_of_checkpoints(make_checkpoint, tmp_path, kind):
    lora = {"use_lora": True} if kind == "PanoLLaVaForConditionalGeneration" else {}
    source = make_checkpoint(tmp_path / "checkpoint", kind=kind, pooling="max", **lora)
    folder = export_checkpoint(source, tmp_path / "export", purpose="embedding")
    pixels = torch.rand(2, 7, 3, 32, 32)
    with torch.no_grad():
        wanted = PanoLLaVaForFeatureExtraction.from_pretrained(source).eval()(pixels).pooler_output
        found = PanoLLaVaForFeatureExtraction.from_pretrained(folder).eval()(pixels).pooler_output
    assert found.equal(wanted)
    config = PanoLLaVaConfig.from_pretrained(folder)
    assert (config.use_lora, config.pooling, config.text_config.vocab_size) == (False, "max", 1)
    assert "**The resampler after the vision tower is untrained**" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "search"], "--for search: unknown purpose; expected embedding, or no --for"),
        (["--for", ""], "--for : unknown purpose; expected embedding"),
        (["--for", "embedding", "--model", "no/such"], "--model no/such: no such folder, and this model is not"),
        (["--for", "embedding", "--model", "."], "--model .: this folder has no config.json"),
        (["--for", "embedding", "--model", "text"], "this is a gpt2 model, which reads no images"),
        (["--model", "TOWER"], "is not a PanoLLaVA checkpoint: model_type in its config.json is 'dinov2'"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(tmp_path, capsys, monkeypatch, tower, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 9}))
    arguments = [str(tower) if argument == "TOWER" else argument for argument in arguments]
    assert run(["export", "export", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.strip().splitlines() if line.startswith("panollava: ")]
    assert message in line
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == ["text"]


def test_errors_in_python(tower, tmp_path):
    with pytest.raises(ExportError, match="unknown purpose 'search'; expected embedding"):
        export_checkpoint(tower, tmp_path / "export", purpose="search")
    (tower.parent / "empty").mkdir()
    with pytest.raises(ExportError, match="this folder is empty; expected a PanoLLaVA checkpoint or a vision tower"):
        export_checkpoint(tower.parent / "empty", tmp_path / "export", purpose="embedding")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\r\nlicense: 'cc-by-4.0'\r\n---\r\n", "cc-by-4.0"),
        ("---\ntags:\n- a\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        ("---\nlicense: [mit, other]\n---\n", None),
        ("---\nlicense: " + "a" * 100 + "\n---\n", None),
        ("\x00" * 100_000, None),
        (None, None),
    ],
)
def test_stated_licence(tmp_path, card, licence):
    if card is not None:
        (tmp_path / "README.md").write_bytes(card.encode())
    assert stated_licence(tmp_path) == licence
    assert stated_licence(f"{tmp_path}/missing") is None


def test_the_licence_of_the_embedded_checkpoint_and_a_note_without_one(tower, tmp_path, capsys):
    assert run(["export", str(tmp_path / "embedded"), "--for", "embedding"]) == 0
    assert stated_licence(tmp_path / "embedded") == "mit"
    assert "Note:" not in capsys.readouterr().err
    card = (tower / "README.md").read_text()
    (tower / "README.md").unlink()
    try:
        assert run(["export", str(tmp_path / "tower"), "--for", "embedding", "--model", str(tower)]) == 0
    finally:
        (tower / "README.md").write_text(card)
    assert "Note: the licence of " in capsys.readouterr().err
