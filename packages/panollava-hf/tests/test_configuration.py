import math
import time

import pytest
from panollava_hf import PanoLLaVaConfig
from transformers import AutoConfig, CLIPConfig, Dinov2Config, LlamaConfig


def test_documented_defaults():
    config = PanoLLaVaConfig()
    expected = {
        "resampler_type": "mlp",
        "latent_dimension": 768,
        "num_latent_tokens": 64,
        "vicreg_similarity_weight": 25.0,
        "vicreg_variance_weight": 25.0,
        "vicreg_covariance_weight": 1.0,
        "overlap_ratio": 0.3,
        "crop_strategy": "anyres_e2p",
        "num_views": None,
        "fov_deg": 90.0,
        "use_lora": False,
        "lora_r": 16,
        "lora_alpha": 32,
    }
    assert {name: getattr(config, name) for name in expected} == expected
    assert (config.vision_config.model_type, config.vision_config.image_size) == ("siglip_vision_model", 224)
    assert (config.vision_config.patch_size, config.vision_config.hidden_size) == (16, 768)
    assert (config.text_config.model_type, config.text_config.hidden_size) == ("qwen2", 896)


def test_default_plan_is_a_closed_ring_and_a_global_view():
    # ceil(360 / (90 * 0.7)) = 6 tiles, one global view; 14 x 14 tokens each
    config = PanoLLaVaConfig()
    assert len(config.view_plan()) == 7
    assert config.num_image_tokens() == 7 * 14 * 14


@pytest.mark.parametrize(
    "settings", [{}, {"num_views": 8, "overlap_ratio": 0.5, "view_size": (16, 32)}, {"stitching_mode": "drop_overlap"}]
)
def test_json_round_trip(tmp_path, tiny_config, settings):
    config = tiny_config(**settings)
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert type(again) is PanoLLaVaConfig
    assert again.to_dict() == {**config.to_dict(), "_name_or_path": again.to_dict().get("_name_or_path")} or (
        {k: v for k, v in again.to_dict().items() if k != "_name_or_path"}
        == {k: v for k, v in config.to_dict().items() if k != "_name_or_path"}
    )


def test_towers_may_be_whole_configs_or_dicts():
    vision, text = CLIPConfig(), LlamaConfig(hidden_size=64, num_attention_heads=4)
    config = PanoLLaVaConfig(vision, text.to_dict())
    assert config.vision_config.model_type == "clip_vision_model"
    assert (config.text_config.model_type, config.text_config.hidden_size) == ("llama", 64)


def test_short_form_of_the_documented_towers_needs_no_network():
    config = PanoLLaVaConfig(
        vision_config={"model_name": "google/siglip-base-patch16-224", "image_size": 224, "patch_size": 16},
        text_config={"model_name": "Qwen/Qwen2.5-0.5B-Instruct", "hidden_size": 896},
    )
    assert config.vision_config.num_hidden_layers == 12
    assert config.to_dict()["vision_config"]["model_type"] == "siglip_vision_model"


def test_short_form_takes_a_local_folder(tmp_path):
    Dinov2Config(hidden_size=48, num_attention_heads=3, image_size=56).save_pretrained(tmp_path)
    config = PanoLLaVaConfig(vision_config={"model_name": str(tmp_path), "image_size": 112, "patch_size": 14})
    assert (config.vision_config.hidden_size, config.image_size) == (48, (112, 112))


def test_short_form_that_contradicts_the_tower_names_both_values():
    with pytest.raises(ValueError, match=r"patch_size=14 contradicts.*is 16"):
        PanoLLaVaConfig(vision_config={"model_name": "google/siglip-base-patch16-224", "patch_size": 14})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vision_config": {"hidden_size": 3}}, "neither model_type .* nor model_name"),
        ({"vision_config": "no/such-tower-anywhere"}, "no config for the tower 'no/such-tower-anywhere'"),
        ({"latent_dimension": 0}, "latent_dimension must be at least 1, got 0"),
        ({"overlap_ratio": 1.0}, "overlap_ratio"),
        ({"fov_deg": 180.0}, "fov_deg"),
        ({"crop_strategy": "nine"}, "nine"),
    ],
)
def test_fields_without_meaning_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        PanoLLaVaConfig(**settings)


IMPOSSIBLE = {
    "num_views": (10**7, True, 1.5, "6", [6]),
    "fov_deg": (1e-4, 0, -90, math.nan, math.inf, "90", None, True, [90]),
    "overlap_ratio": (0.9999999, -0.1, 1, math.nan, "0.3", None),
    "view_size": (0, -1, 10**5, [224], [224, 10**5], "224", True, {"height": 1}),
    "latent_dimension": (-1, 10**9, None, "768", True, 1.5),
    "num_latent_tokens": (0, 10**9, None),
    "resampler_type": (None, 3, ["mlp"]),
    "resampler_config": ([], "mlp", {"hidden_dim": 10**9}, {"num_layers": 10**6}),
    "positional_encoding": ("spherica", None, 3, ["yaw"]),
    "positional_temperature": (0, -1, math.inf, math.nan, "10000", None),
    "stitching_mode": ("join", None, {}),
    "stitch_interp": ("cubic", None),
    "vision_output_norm": (1, "true", None),
    "trainable_vision_blocks": (-2, 10**6, None, "all"),
    "view_chunk_size": (0, "4"),
    "crop_strategy": (None, 3, {}, []),
    "vicreg_similarity_weight": (math.nan, "25", None),
    "vicreg_mode": ("rowwise", None),
    "vicreg_pairs": ("all", None),
    "vicreg_projector_depth": (-1, 10**6, None),
    "pooling": ("median", None),
    "use_lora": ("yes", 1, None),
    "lora_r": (0, 10**6, None, "16", True),
    "lora_alpha": (-1, math.inf, None),
    "lora_dropout": (-0.1, 1.1, None),
    "image_token_id": (-1, None, "3", 2**40),
    "initializer_range": (-1, math.inf, None),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_values_are_one_line_that_names_the_field(tiny_config, name):
    for value in IMPOSSIBLE[name]:
        with pytest.raises(ValueError, match=name.split("_")[0]) as caught:
            tiny_config(**{name: value})
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 400


def test_a_long_value_is_shortened_in_the_message(tiny_config):
    for value in ("x" * 10**6, [[1] * 10**5] * 10, {"a": {"b": {"c": "y" * 10**6}}}):
        with pytest.raises(ValueError, match="fov_deg") as caught:
            tiny_config(fov_deg=value)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "settings",
    [
        {"crop_strategy": "e2p", "fov_deg": 0.01},
        {"crop_strategy": "sliding_window", "overlap_ratio": 0.99999},
        {"crop_strategy": "anyres", "fov_deg": 1.0},
        {"crop_strategy": "anyres_max", "num_views": 2000},
        {"crop_strategy": "e2p", "num_views": 1024, "view_size": 4096},
    ],
)
def test_too_many_views_are_refused_before_they_are_made(tiny_config, settings):
    started = time.perf_counter()
    with pytest.raises(ValueError, match=r"views|fov_deg|pixels"):
        tiny_config(**settings)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "settings",
    [
        {"num_views": 8, "overlap_ratio": 0.5, "view_size": (16, 32)},
        {"fov_deg": 100, "overlap_ratio": 0, "lora_alpha": 1.5, "positional_temperature": 100},
        {"crop_strategy": "cubemap", "fov_deg": 104.0, "resampler_type": "spatial_pool", "num_latent_tokens": 4},
        {"crop_strategy": "sliding_window", "fov_deg": 30},
        {"view_size": 1024, "num_latent_tokens": 4096, "latent_dimension": 8192},
    ],
)
def test_usual_values_are_accepted(tiny_config, settings):
    assert len(tiny_config(**settings).view_plan()) > 1


def test_tying_is_one_flag_in_both_places():
    assert PanoLLaVaConfig().tie_word_embeddings is True  # Qwen2.5-0.5B ties
    untied = PanoLLaVaConfig(tie_word_embeddings=False)
    assert untied.text_config.tie_word_embeddings is False
    untied.tie_word_embeddings = True
    assert untied.text_config.tie_word_embeddings is True


@pytest.mark.parametrize(("tiles", "figure"), [(4, "0.0%"), (3, "-33.3%"), (8, "50.0%")])
def test_a_number_of_views_that_contradicts_the_overlap_warns_with_the_true_figure(tiles, figure):
    # neighbours of n tiles are 360/n apart: 90 degree tiles share 1 - 360/(90 n)
    with pytest.warns(UserWarning, match=f"overlap by {figure}, not by overlap_ratio=30.0%"):
        PanoLLaVaConfig(num_views=tiles)


def test_the_derived_number_of_views_given_by_hand_is_no_contradiction():
    assert len(PanoLLaVaConfig(num_views=6).view_plan()) == 7
    assert len(PanoLLaVaConfig(num_views=8, overlap_ratio=0.5).view_plan()) == 9


def test_a_tower_saved_alone_keeps_its_name(tmp_path):
    config = PanoLLaVaConfig()
    config.save_pretrained(tmp_path / "whole")
    again = PanoLLaVaConfig.from_pretrained(tmp_path / "whole")
    for part, name in (
        ("vision_config", "google/siglip-base-patch16-224"),
        ("text_config", "Qwen/Qwen2.5-0.5B-Instruct"),
    ):
        tower = getattr(again, part)
        assert tower.name_or_path == name
        tower.save_pretrained(tmp_path / part)
        alone = AutoConfig.from_pretrained(tmp_path / part)
        assert alone.tower_name == name
        assert getattr(PanoLLaVaConfig(**{part: alone}), part).name_or_path == name
        # What transformers' own suite compares: the part of a whole config, saved and loaded again.
        loaded = type(tower).from_pretrained(tmp_path / "whole")
        loaded.save_pretrained(tmp_path / f"{part}_again")
        assert loaded.to_dict() == type(tower).from_pretrained(tmp_path / f"{part}_again").to_dict()
        assert {**loaded.to_dict(), "transformers_version": 0} == {**config.to_dict()[part], "transformers_version": 0}
