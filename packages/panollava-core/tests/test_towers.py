"""What is known of a tower from its config alone."""

import socket

import pytest
import torch
from panollava_core import vision_token_grid, vision_width
from panollava_core._towers import num_prefix_tokens, tower_blocks, vision_config_of
from transformers import AutoModel, CLIPConfig, SiglipConfig

#: Configs whose default size of 224 pixels is not changed by the table.
LARGE = ("convnext", "dinov3_convnext", "resnet")


def test_default_size_is_the_configs(tower):
    name, config, _, grid, _ = tower
    if getattr(config, "image_size", None) is None and not name.startswith(("timm", "siglip2")):
        with pytest.raises(ValueError, match=r"config has no image_size; pass image_size=\(height, width\)"):
            vision_token_grid(config)
    else:
        assert vision_token_grid(config) == ((7, 7) if name in LARGE else grid)


def test_sizes_are_numbers_or_pairs(tower):
    _, config, _, grid, wide_grid = tower
    assert vision_token_grid(config, 64) == vision_token_grid(config, [64, 64]) == grid
    assert wide_grid is None or vision_token_grid(config, (64, 128)) == wide_grid


def test_prefix_tokens(tower):
    name, config, prefix, _, _ = tower
    unknown = name.startswith("timm") or name in ("convnext", "dinov3_convnext", "resnet", "swin")
    assert num_prefix_tokens(config) == (None if unknown else prefix)


def test_width_is_that_of_the_output(tower):
    _, config, _, _, _ = tower
    tower_itself = AutoModel.from_config(config)
    timm_model = getattr(tower_itself, "timm_model", None)
    hidden_sizes = getattr(config, "hidden_sizes", None)
    expected = timm_model.num_features if timm_model is not None else (hidden_sizes or [config.hidden_size])[-1]
    assert vision_width(config) == expected


def test_full_configs_give_their_vision_part():
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 64, "patch_size": 16}
    for full in (SiglipConfig(vision_config=sizes), CLIPConfig(vision_config=sizes)):
        assert vision_config_of(full) is full.vision_config is vision_config_of(full.vision_config)
        assert vision_token_grid(full) == (4, 4)
        assert vision_width(full) == 32


def test_nothing_is_downloaded(monkeypatch, tower):
    def refuse(*_, **__):
        raise AssertionError("a config was enough, but a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    vision_token_grid(tower[1], 64)
    vision_width(tower[1])


def test_errors(siglip):
    with pytest.raises(ValueError, match="an image of 8x64 pixels is smaller than one patch of 16x16"):
        vision_token_grid(siglip, (8, 64))
    with pytest.raises(ValueError, match=r"expected one size or \(height, width\), got \(3, 64, 64\)"):
        vision_token_grid(siglip, (3, 64, 64))
    with pytest.raises(ValueError, match=r"no list of blocks \(layers, layer, blocks or stages\) in Linear; use train"):
        tower_blocks(torch.nn.Linear(2, 2))
