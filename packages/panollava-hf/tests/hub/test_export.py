"""An export loaded without our packages, compared with the installed package."""

import ast
import json
import os

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf._auto import AUTO_CLASSES
from panollava_hf._errors import ExportError, OutputExistsError
from panollava_hf.hub import export_checkpoint
from safetensors.torch import load_file
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor


def assert_as_installed(report):
    """The report of a probe shows no difference from the installed package."""
    assert report["complaints"] == []
    assert report["pixels"] == 0  # both have the same libraries here


def test_export_computes_what_the_installed_package_computes(exported, probe, panorama_jpeg, tmp_path):
    from panollava_core import RESAMPLERS

    folder, reference = exported
    report = probe(folder, reference, panorama_jpeg, tmp_path / "again")
    assert_as_installed(report)
    assert report["resamplers"] == sorted(RESAMPLERS)
    again = report["saved_again"]
    config = json.loads((folder / "config.json").read_text())
    assert again["auto_map"] == config["auto_map"]
    # 4.57 writes parts of the processor to files of their own; only `export` writes a card
    optional = {"preprocessor_config.json", "special_tokens_map.json", "README.md"}
    assert set(again["files"]) - optional == {*os.listdir(folder)} - optional


@pytest.mark.parametrize("trusted", [True, False])
def test_the_installed_package_names_no_code_that_it_does_not_save(embedded_export, tmp_path, trusted):
    for loader in (AutoModelForImageTextToText, AutoProcessor, AutoImageProcessor, AutoConfig):
        folder = tmp_path / loader.__name__
        loaded = loader.from_pretrained(embedded_export, trust_remote_code=trusted)
        assert type(loaded).__module__.startswith("panollava_hf.")
        loaded.save_pretrained(folder)
        assert not [*folder.rglob("*.py")]
        assert not [file for file in folder.glob("*.json") if "auto_map" in file.read_text()]
        loader.from_pretrained(folder)
    image_processor = AutoImageProcessor.from_pretrained(embedded_export)
    image_processor.auto_map = {"AutoImageProcessor": "owner/pano--image_processing_panollava.X"}
    assert image_processor.to_dict()["auto_map"] == image_processor.auto_map


def test_each_class_is_defined_in_the_file_that_auto_map_names(embedded_export):
    """So that `save_pretrained` of a loaded model, which follows `__module__`, copies the right file."""
    config = json.loads((embedded_export / "config.json").read_text())
    assert config["auto_map"] == AUTO_CLASSES
    for entry in {*AUTO_CLASSES.values(), "modeling_panollava_vision.PanoLLaVaForFeatureExtraction"}:
        module, name = entry.split(".")
        body = ast.parse((embedded_export / f"{module}.py").read_text()).body
        assert name in {node.name for node in body if isinstance(node, ast.ClassDef)}, entry
        assert not any("__module__" in ast.unparse(node) for node in body), entry


def test_export_loads_from_a_hub_with_an_empty_and_a_filled_cache(served, probe, panorama_jpeg, tmp_path, reference):
    hub, pushed = served
    assert pushed.returncode == 0, pushed.stderr
    client = {"endpoint": hub.endpoint, "token": hub.token, "home": tmp_path / "cache"}
    hub.requests.clear()
    assert_as_installed(probe("owner/pano.v1", reference, panorama_jpeg, **client))
    assert len(hub.asked("GET", "/resolve/")) > 15
    hub.requests.clear()
    assert_as_installed(probe("owner/pano.v1", reference, panorama_jpeg, "brief", **client))
    assert [path for path in hub.asked("GET", "/resolve/") if path.endswith((".py", ".safetensors"))] == []


def test_vision_towers_are_written_under_old_names(make_checkpoint, tmp_path):
    """The names of transformers 4.57, which reads no others."""
    wanted = {
        "clip_vision_model": "vision_model.pre_layrnorm.weight",
        "dinov2": "encoder.layer.0.attention.attention.query.weight",
        "vit": "encoder.layer.0.attention.attention.query.weight",
        "dinov3_vit": "layer.0.attention.k_proj.weight",
    }
    for tower, name in wanted.items():
        source = make_checkpoint(tmp_path / tower, vision_type=tower)
        weights = load_file(export_checkpoint(source, tmp_path / f"{tower}-export") / "model.safetensors")
        assert f"panollava.vision_backbone.encoder.{name}" in weights, tower


def test_a_stage_one_checkpoint_can_be_exported(make_checkpoint, clean_run, tmp_path):
    source = make_checkpoint(tmp_path / "stage-one", kind="PanoLLaVaForVICReg")
    folder = export_checkpoint(source, tmp_path / "export")
    assert "pipeline_tag: image-feature-extraction" in (folder / "README.md").read_text()
    script = tmp_path / "load.py"
    script.write_text(
        "import sys, torch\n"
        "from transformers import AutoImageProcessor, AutoModelForPreTraining\n"
        "kind, trust = AutoModelForPreTraining, {'trust_remote_code': True}\n"
        "model, info = kind.from_pretrained(sys.argv[1], output_loading_info=True, **trust)\n"
        "assert not any(info.values()), info\n"
        "views = AutoImageProcessor.from_pretrained(sys.argv[1], **trust)(torch.zeros(3, 64, 128).byte())\n"
        "assert model(views['pixel_values']).loss.isfinite()\n"
    )
    clean_run(script, folder)


def test_an_export_can_be_exported_again(embedded_export, tmp_path):
    again = export_checkpoint(embedded_export, tmp_path / "again")
    for name in os.listdir(embedded_export):
        if name.endswith((".json", ".jinja")):
            assert (again / name).read_text() == (embedded_export / name).read_text(), name
    old, new = (load_file(folder / "model.safetensors") for folder in (embedded_export, again))
    assert set(old) == set(new)
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_local_paths_are_not_exported(make_checkpoint, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint")
    config = json.loads((source / "config.json").read_text())
    config["vision_config"]["_name_or_path"] = str(tmp_path / "towers")
    config["text_config"]["_name_or_path"] = "Qwen/Qwen2.5-0.5B-Instruct"
    (source / "config.json").write_text(json.dumps(config))
    folder = export_checkpoint(source, tmp_path / "export")
    leaks = [name for name in os.listdir(folder) if str(tmp_path).encode() in (folder / name).read_bytes()]
    assert leaks == []
    assert "base_model:\n- Qwen/Qwen2.5-0.5B-Instruct\n" in (folder / "README.md").read_text()


def test_a_failed_export_leaves_nothing(make_checkpoint, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint")
    weights = load_file(source / "model.safetensors")
    del weights["panollava.projector.linear.weight"]
    from safetensors.torch import save_file

    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match=r"do not fit its config: missing keys: panollava\.projector\.linear\.weight"):
        export_checkpoint(source, tmp_path / "export")
    assert sorted(os.listdir(tmp_path)) == ["checkpoint"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llava"}, "is not a PanoLLaVA checkpoint: model_type in its config.json is 'llava'"),
        ({"architectures": ["PanoLLaVaModel"]}, "contains 'PanoLLaVaModel', which cannot be exported"),
    ],
)
def test_other_checkpoints_are_refused(make_checkpoint, tmp_path, change, message):
    source = make_checkpoint(tmp_path / "checkpoint")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ExportError, match=message):
        export_checkpoint(source, tmp_path / "export")


def test_an_existing_folder_is_not_changed(embedded_export):
    before = sorted(os.listdir(embedded_export))
    with pytest.raises(OutputExistsError, match="already exists; choose a new folder"):
        export_checkpoint("anything", embedded_export)
    assert sorted(os.listdir(embedded_export)) == before


def test_an_adapter_is_merged_into_an_export(make_checkpoint, tmp_path):
    source = make_checkpoint(tmp_path / "checkpoint")
    model = PanoLLaVaForConditionalGeneration.from_pretrained(source, use_lora=True).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1)
    model.save_pretrained(source)
    assert (source / "adapter").is_dir()
    export_checkpoint(source, tmp_path / "export")
    assert not (tmp_path / "export" / "adapter").exists()
    assert json.loads((tmp_path / "export" / "config.json").read_text())["use_lora"] is False
    exported = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path / "export").eval()
    ids = torch.randint(5, 60, (2, 7))
    with torch.no_grad():
        torch.testing.assert_close(exported(input_ids=ids).logits, model(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


def test_a_merged_adapter_is_not_exported(make_checkpoint, tmp_path):
    # use_lora is False: the adapter in adapter/ is already merged, as after the finetune stage
    source = make_checkpoint(tmp_path / "checkpoint")
    (source / "adapter").mkdir()
    (source / "adapter" / "adapter_config.json").write_text("{}")
    export_checkpoint(source, tmp_path / "export")
    assert not (tmp_path / "export" / "adapter").exists()


def test_code_that_the_source_names_is_not_exported(tmp_path):
    """`auto_map` of an export names the code in its folder only, at every level of its files."""
    from panollava_hf.hub._export import add_code_references

    foreign = {"AutoModel": "other/repository--evil.C"}
    towers = {
        part: {"auto_map": foreign, "inner": [{"auto_map": foreign}]} for part in ("vision_config", "text_config")
    }
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": foreign, **towers}))
    processor = {"auto_map": foreign, "image_processor": {"auto_map": foreign}, "more": {"auto_map": foreign}}
    (tmp_path / "processor_config.json").write_text(json.dumps(processor))
    add_code_references(tmp_path, tied=True)
    for name in ("config.json", "processor_config.json"):
        assert "evil" not in (tmp_path / name).read_text()
    assert json.loads((tmp_path / "config.json").read_text())["auto_map"] == AUTO_CLASSES
