"""`from_tower`: vectors of vision towers, against the towers of transformers called directly and pooled by hand."""

import json

import pytest
import torch
from panollava_hf import (
    PanoLLaVaConfig,
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaForFeatureExtraction,
    PanoLLaVaImageProcessor,
    PanoLLaVaModel,
    default_checkpoint,
)
from panollava_hf._errors import ModelError
from panollava_hf._loading import load_embedder
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize
from transformers import (
    AutoModel,
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    Dinov2Config,
    DINOv3ViTConfig,
    SiglipVisionConfig,
    SwinConfig,
    TimmWrapperConfig,
    ViTConfig,
)

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
PATCHES = {**SMALL, "image_size": 32, "patch_size": 8}
TEXT = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]

#: Name: (tower, tokens before the patches, default pooling).
TOWERS = {
    "dinov2": (lambda: AutoModel.from_config(Dinov2Config(**PATCHES)), 1, "cls+mean"),
    "dinov3": (lambda: AutoModel.from_config(DINOv3ViTConfig(**PATCHES, num_register_tokens=4)), 5, "cls+mean"),
    "vit": (lambda: AutoModel.from_config(ViTConfig(**PATCHES)), 1, "cls+mean"),
    "siglip": (lambda: AutoModel.from_config(SiglipVisionConfig(**PATCHES)), 0, "pooler"),
    "clip": (lambda: CLIPModel(CLIPConfig(vision_config=PATCHES, text_config=TEXT)), 1, "pooler"),
    "swin": (
        lambda: AutoModel.from_config(
            SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)
        ),
        0,
        "pooler",
    ),
    "convnext": (
        lambda: AutoModel.from_config(ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)),
        0,
        "pooler",
    ),
}


def save_tower(folder, name="dinov2", **settings):
    """A tower with random weights and the settings of its image processor, as a folder; returns the tower too."""
    torch.manual_seed(0)
    tower = TOWERS[name][0]().eval()
    with torch.no_grad():
        for parameter in tower.parameters():  # as if trained: no weight is zero or one
            parameter.add_(0.1 * torch.randn_like(parameter))
    tower.save_pretrained(folder)
    given = {"image_mean": MEAN, "image_std": STD, "size": {"shortest_edge": 40}, "do_center_crop": True}
    settings = {"image_processor_type": "BitImageProcessor", **given, "crop_size": 32, **settings}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return tower


def by_hand(tower, views, prefix, pooling):
    """The vectors of views `[N, D]`, from the tower's own output."""
    with torch.no_grad():
        output = getattr(tower, "vision_model", tower)(pixel_values=views)
    tokens = output.last_hidden_state
    patches = tokens.flatten(2).mT if tokens.ndim == 4 else tokens[:, prefix:]
    parts = {
        "cls": lambda: normalize(tokens[:, 0], dim=-1),
        "pooler": lambda: normalize(output.pooler_output, dim=-1),
        "mean": lambda: normalize(patches.mean(1), dim=-1),
    }
    vectors = torch.cat([parts[part]() for part in pooling.split("+")], -1)
    return vectors / len(pooling.split("+")) ** 0.5


@pytest.mark.parametrize("name", TOWERS)
def test_vectors_are_those_of_the_tower(tmp_path, name):
    tower = save_tower(tmp_path, name)
    _, prefix, pooling = TOWERS[name]
    model = PanoLLaVaForFeatureExtraction.from_tower(tmp_path)
    assert not model.training
    assert (model.config.pooling, model.config.resampler_type) == (pooling, "none")
    views = torch.randn(2, 7, 3, 32, 32)
    with torch.no_grad():
        output = model(views)
    expected = by_hand(tower, views.flatten(0, 1), prefix, pooling).unflatten(0, (2, 7))
    torch.testing.assert_close(output.view_embeds, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.pooler_output, expected.mean(1), rtol=1e-4, atol=1e-5)
    assert output.pooler_output.shape == (2, model.config.projection_dim)


@pytest.mark.parametrize("pooling", ["cls", "pooler", "cls+mean", "pooler+mean"])
@pytest.mark.parametrize("pooled", ["all", "tiles"])
def test_every_pooling_of_a_tower(tmp_path, pooling, pooled):
    tower = save_tower(tmp_path, "clip")
    model = PanoLLaVaForFeatureExtraction.from_tower(tmp_path, pooling=pooling, pooled_views=pooled)
    model.panollava.vision_backbone.view_chunk_size = 5
    views = torch.randn(2, 7, 3, 32, 32)
    with torch.no_grad():
        output = model(views)
    expected = by_hand(tower, views.flatten(0, 1), 1, pooling).unflatten(0, (2, 7))
    torch.testing.assert_close(output.view_embeds, expected, rtol=1e-4, atol=1e-5)
    first = 1 if pooled == "tiles" else 0  # the global view comes first
    torch.testing.assert_close(output.pooler_output, expected[:, first:].mean(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dinov2", "clip", "swin"])
def test_a_saved_tower_loads_as_any_checkpoint(tmp_path, name):
    save_tower(tmp_path / "tower", name)
    model, processor = load_embedder(tmp_path / "tower", settings={"fov_deg": 60.0, "pooled_views": "tiles"})
    views = torch.randn(1, len(processor.view_plan()), 3, 32, 32)
    folder = tmp_path / "saved"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    again, same = load_embedder(folder)
    assert again.state_dict().keys() == model.state_dict().keys()
    assert same.to_dict() == processor.to_dict()
    plain = PanoLLaVaForFeatureExtraction.from_pretrained(folder)
    with torch.no_grad():
        expected = model(views).pooler_output
        assert torch.equal(again(views).pooler_output, expected)
        assert torch.equal(plain(views).pooler_output, expected)
    config = PanoLLaVaConfig.from_pretrained(folder)
    assert (config.projection_dim, config.pooling) == (model.config.projection_dim, model.config.pooling)
    assert config.text_config.hidden_size * config.text_config.vocab_size < 100


def test_the_image_processor_follows_the_tower(tmp_path):
    save_tower(tmp_path)
    processor = PanoLLaVaImageProcessor.from_tower(tmp_path, fov_deg=60.0)
    assert (processor.image_mean, processor.image_std, processor.size) == (MEAN, STD, {"height": 32, "width": 32})
    assert processor.fov_deg == 60.0
    assert PanoLLaVaImageProcessor.from_tower(tmp_path, size=24).size == {"height": 24, "width": 24}


SIZES = [
    ({"size": {"height": 16, "width": 24}, "do_center_crop": False}, (16, 24)),
    ({"size": 16, "crop_size": None}, (16, 16)),
    ({"size": {"shortest_edge": 16}, "crop_size": None, "do_center_crop": None}, (16, 16)),
    ({"crop_size": {"height": 24, "width": 16}}, (24, 16)),
    ({"size": None, "crop_size": None, "max_num_patches": 16, "patch_size": 8}, (32, 32)),
]


@pytest.mark.parametrize(("settings", "size"), SIZES)
def test_the_usual_size_of_a_tower(tmp_path, settings, size):
    save_tower(tmp_path, **settings)
    assert tuple(PanoLLaVaImageProcessor.from_tower(tmp_path).size.values()) == size


def test_a_tower_that_does_not_give_its_size(tmp_path):
    save_tower(tmp_path, size={"longest_edge": 40}, crop_size=None)
    with pytest.raises(ValueError, match="does not give the size of its images; pass size"):
        PanoLLaVaImageProcessor.from_tower(tmp_path)


def test_without_a_connector_nothing_answers(tmp_path):
    save_tower(tmp_path)
    model = PanoLLaVaForFeatureExtraction.from_tower(tmp_path)
    for kind in (PanoLLaVaForConditionalGeneration, PanoLLaVaModel):
        with pytest.raises(ValueError, match=r"no connector and no language model .*PanoLLaVaForFeatureExtraction"):
            kind(model.config)


@pytest.mark.parametrize("pooling", ["pooler", "pooler+mean"])
def test_missing_weights_are_an_error_where_they_are_used(tmp_path, pooling):
    save_tower(tmp_path, "vit")
    weights = tmp_path / "model.safetensors"
    stored = load_file(weights)
    save_file({k: v for k, v in stored.items() if "pooler" not in k}, weights, metadata={"format": "pt"})
    assert PanoLLaVaForFeatureExtraction.from_tower(tmp_path).config.pooling == "cls+mean"
    with pytest.raises(ModelError, match=r"missing keys: .*pooler\.dense"):
        PanoLLaVaForFeatureExtraction.from_tower(tmp_path, pooling=pooling)
    save_file({k: v for k, v in stored.items() if "layer.1." not in k and "layers.1." not in k}, weights,
              metadata={"format": "pt"})  # fmt: skip
    with pytest.raises(ModelError, match="do not fit its config: missing keys"):
        PanoLLaVaForFeatureExtraction.from_tower(tmp_path)


WRONG = [
    ({"pooling": "median"}, "has no pooling|pooling must be one of"),
    ({"pooling": "cls", "name": "siglip"}, "has no pooling 'cls'; expected one of mean, max, first, pooler"),
    ({"view_size": 4}, "cannot read views of 4x4 pixels .*use another view_size"),
    ({"crop_strategy": "spiral"}, "spiral"),
    ({"fov_deg": -1.0}, "fov"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_impossible_settings_are_one_line(tmp_path, settings, message):
    settings = dict(settings)
    save_tower(tmp_path, settings.pop("name", "dinov2"))
    with pytest.raises(ValueError, match=message) as caught:
        PanoLLaVaForFeatureExtraction.from_tower(tmp_path, **settings)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=message):
        load_embedder(tmp_path, settings=settings)


def test_a_checkpoint_keeps_its_views(tmp_path):
    model, processor = load_embedder(default_checkpoint(), settings={"pooling": "max"})
    assert model.config.pooling == "max"
    assert len(processor.view_plan()) == len(model.config.view_plan())
    with pytest.raises(ModelError, match="was trained with its own views, got fov_deg"):
        load_embedder(default_checkpoint(), settings={"fov_deg": 60.0})
    with pytest.raises(ModelError, match="has a connector, whose tokens have no pooling 'cls'"):
        load_embedder(default_checkpoint(), settings={"pooling": "cls"})
    with pytest.raises(ModelError, match="this folder is empty"):
        load_embedder(tmp_path)


def test_saved_towers_may_be_cut_otherwise(tmp_path):
    save_tower(tmp_path)
    model, processor = load_embedder(tmp_path)
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    other, cutter = load_embedder(tmp_path / "saved", settings={"view_size": 24, "fov_deg": 60.0})
    assert (cutter.size, cutter.fov_deg, cutter.image_mean) == ({"height": 24, "width": 24}, 60.0, MEAN)
    assert len(cutter.view_plan()) == len(other.config.view_plan())


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_vectors_of_checkpoints_have_not_changed(tiny_config, pooling):
    config = tiny_config(pooling=pooling)
    model = PanoLLaVaForFeatureExtraction(config).eval()
    views = torch.randn(3, 7, 3, 32, 32)
    with torch.no_grad():
        features, latents = model.panollava.encode_views(views)
        output = model(views)
    flat = latents.unflatten(0, (3, 7)).flatten(1, 2)
    expected = {"mean": flat.mean(1), "max": flat.amax(1), "first": flat[:, 0]}[pooling]
    assert torch.equal(output.pooler_output, expected)  # to the last bit
    of_views = latents.unflatten(0, (3, 7))
    expected = {"mean": of_views.mean(2), "max": of_views.amax(2), "first": of_views[:, :, 0]}[pooling]
    assert torch.equal(output.view_embeds, expected)
    assert set(features.keys()) == {"last_hidden_state"}


def test_the_contract_of_clip(tiny_config):
    model = PanoLLaVaForFeatureExtraction(tiny_config()).eval()
    views = torch.randn(2, 7, 3, 32, 32)
    with torch.no_grad():
        output = model.get_image_features(views)
        as_tuple = model.get_image_features(pixel_values=views, return_dict=False)
    assert output.pooler_output.shape == (2, model.config.projection_dim) == (2, 24)
    assert torch.equal(as_tuple[0], output.pooler_output)
    assert torch.equal(as_tuple[-1], output.view_embeds)
    stored = {**tiny_config().to_dict(), "projection_dim": 24}
    assert PanoLLaVaConfig(**stored).projection_dim == 24
    with pytest.raises(ValueError, match="projection_dim must be 24"):
        PanoLLaVaConfig(**{**stored, "projection_dim": 25})


def test_another_pooling_leaves_the_config_of_others_alone(tiny_config):
    config = tiny_config()
    assert PanoLLaVaForFeatureExtraction(config, pooling="max").config.pooling == "max"
    assert config.pooling == "mean"
    with pytest.raises(ValueError, match="needs resampler_type='none', got 'mlp'"):
        tiny_config(pooling="cls")


def test_another_number_of_views(tmp_path):
    save_tower(tmp_path)
    views = torch.randn(1, 5, 3, 32, 32)
    assert PanoLLaVaForFeatureExtraction.from_tower(tmp_path)(views).view_embeds.shape == (1, 5, 64)
    model = PanoLLaVaForFeatureExtraction.from_tower(tmp_path, pooled_views="tiles")
    with pytest.raises(ValueError, match="hold 5 views, but the config's plan has 7"):
        model(views)


def test_type_and_device(tmp_path):
    save_tower(tmp_path)
    model = PanoLLaVaForFeatureExtraction.from_tower(tmp_path, dtype=torch.bfloat16, device="cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.config.dtype in (torch.bfloat16, "bfloat16")
    assert model(torch.randn(1, 7, 3, 32, 32)).pooler_output.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("architecture", "pooling"), [("vit_tiny_patch16_224", "cls+mean"), ("vit_medium_patch16_reg4_gap_256", "pooler")]
)
def test_towers_of_timm(tmp_path, architecture, pooling):
    """They have no preprocessor_config.json; the second has registers, but no CLS token."""
    config = TimmWrapperConfig.from_dict({"architecture": architecture, "num_classes": 0, "label_names": []})
    config.pretrained_cfg = {"input_size": [3, 64, 64], "mean": MEAN, "std": STD}
    config.model_args = {"img_size": 64, "depth": 2, "embed_dim": 32, "num_heads": 4, "dynamic_img_size": True}
    tower = AutoModel.from_config(config).eval()
    tower.save_pretrained(tmp_path)
    model, processor = load_embedder(tmp_path)
    assert (model.config.pooling, processor.image_mean) == (pooling, MEAN)
    assert processor.size == {"height": 64, "width": 64}
    views = torch.randn(1, 7, 3, 64, 64)
    with torch.no_grad():
        own = normalize(tower(views[0], do_pooling=True).pooler_output, dim=-1)
        found = normalize(model(views).view_embeds[0, :, :32], dim=-1)
    torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-5)
    if pooling == "pooler":
        with pytest.raises(ModelError, match="has no pooling 'cls'"):
            load_embedder(tmp_path, settings={"pooling": "cls"})


def test_a_setting_that_the_image_processor_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown settings: view_size; expected size, crop_strategy"):
        PanoLLaVaImageProcessor.from_tower(tmp_path, view_size=112)
