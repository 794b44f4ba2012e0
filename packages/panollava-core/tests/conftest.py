"""Small configs of every kind of vision tower."""

import pytest
from transformers import (
    CLIPVisionConfig,
    ConvNextConfig,
    DeiTConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    DINOv3ConvNextConfig,
    DINOv3ViTConfig,
    ResNetConfig,
    Siglip2VisionConfig,
    SiglipVisionConfig,
    SwinConfig,
    TimmWrapperConfig,
    ViTConfig,
)

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
PATCHES = {**SMALL, "image_size": 64, "patch_size": 16}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}


def timm_config(architecture, size=64, **model_args):
    config = TimmWrapperConfig.from_dict({"architecture": architecture, "num_classes": 0, "label_names": []})
    config.pretrained_cfg = {"input_size": [3, size, size]}
    config.model_args = model_args or None
    return config


#: Name: (config of a tower for 64x64 pixels, tokens before the grid, grid of 64x64 pixels, grid of 64x128 pixels).
TOWERS = {
    "siglip": (lambda: SiglipVisionConfig(**PATCHES), 0, (4, 4), (4, 8)),
    "siglip2": (lambda: Siglip2VisionConfig(**SMALL, patch_size=16, num_patches=16), 0, (4, 4), (4, 8)),
    "clip": (lambda: CLIPVisionConfig(**PATCHES), 1, (4, 4), (4, 8)),
    "vit": (lambda: ViTConfig(**PATCHES), 1, (4, 4), (4, 8)),
    "deit": (lambda: DeiTConfig(**PATCHES), 2, (4, 4), (4, 8)),
    "dinov2": (lambda: Dinov2Config(**PATCHES), 1, (4, 4), (4, 8)),
    "dinov2_with_registers": (
        lambda: Dinov2WithRegistersConfig(**PATCHES, num_register_tokens=4),
        5,
        (4, 4),
        (4, 8),
    ),
    "dinov3": (lambda: DINOv3ViTConfig(**PATCHES, num_register_tokens=4), 5, (4, 4), (4, 8)),
    "convnext": (lambda: ConvNextConfig(**STAGES), 0, (2, 2), (2, 4)),
    "dinov3_convnext": (lambda: DINOv3ConvNextConfig(**STAGES), 1, (2, 2), (2, 4)),
    "resnet": (
        lambda: ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic"),
        0,
        (2, 2),
        (2, 4),
    ),
    "swin": (
        lambda: SwinConfig(
            image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 2, 2], window_size=4
        ),
        0,
        (4, 4),
        (4, 8),
    ),
    "timm_vit": (
        lambda: timm_config(
            "vit_tiny_patch16_224", img_size=64, depth=3, embed_dim=32, num_heads=4, dynamic_img_size=True
        ),
        1,
        (4, 4),
        (4, 8),
    ),
    "timm_vit_registers": (
        lambda: timm_config(
            "vit_medium_patch16_reg4_gap_256", img_size=64, depth=3, embed_dim=32, num_heads=4, dynamic_img_size=True
        ),
        4,
        (4, 4),
        (4, 8),
    ),
    "timm_convnext": (
        lambda: timm_config("convnext_atto", depths=[1, 1, 2, 1], dims=[8, 16, 24, 32]),
        0,
        (2, 2),
        (2, 4),
    ),
    "timm_efficientnet": (lambda: timm_config("test_efficientnet"), 0, (2, 2), (2, 4)),
    "timm_resnet": (lambda: timm_config("test_resnet"), 0, (2, 2), (2, 4)),
    "timm_swin": (
        lambda: timm_config(
            "swin_tiny_patch4_window7_224",
            img_size=64,
            window_size=4,
            depths=[1, 1, 1],
            embed_dim=8,
            num_heads=[1, 2, 2],
        ),
        0,
        (4, 4),
        None,
    ),
}


@pytest.fixture(params=list(TOWERS))
def tower(request):
    """Every kind of tower: its name, config, number of prefix tokens and grids, as in the table."""
    make, prefix, grid, wide_grid = TOWERS[request.param]
    return request.param, make(), prefix, grid, wide_grid


@pytest.fixture
def siglip():
    """The config of a small SigLIP tower."""
    return TOWERS["siglip"][0]()
