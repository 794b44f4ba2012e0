"""Every kind of tower: token grids, prefixes, chunks, freezing, and that nothing is downloaded."""

import pytest
import torch
from panollava_core import VisionBackbone, vision_token_grid
from transformers import (
    AutoModel,
    CLIPConfig,
    CLIPVisionConfig,
    ConvNextConfig,
    DeiTConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    DINOv3ConvNextConfig,
    DINOv3ViTConfig,
    ResNetConfig,
    Siglip2VisionConfig,
    SiglipConfig,
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
#: `image_size` is no part of these configs.
SIZELESS = {"convnext": True, "dinov3_convnext": True, "resnet": True}


@pytest.fixture(params=list(TOWERS))
def tower(request):
    make, prefix, grid, wide_grid = TOWERS[request.param]
    return request.param, make(), prefix, grid, wide_grid


def pixels(count=2, size=(64, 64)):
    return torch.randn(count, 3, *size)


def test_grid_and_tokens(tower):
    """The grid from the config alone is the grid of the output, for the configured size and for a wide one."""
    _, config, _, grid, wide_grid = tower
    backbone = VisionBackbone(config).eval()
    for size, expected in (((64, 64), grid), ((64, 128), wide_grid)):
        if expected is None:
            continue
        assert vision_token_grid(config, size) == expected == backbone.token_grid(size)
        tokens = backbone(pixels(size=size))
        assert tokens.shape == (2, expected[0] * expected[1], backbone.hidden_size)
        assert torch.isfinite(tokens).all()


def test_default_size_is_the_configs(tower):
    name, config, _, grid, _ = tower
    if name.startswith("timm"):
        assert vision_token_grid(config) == grid
    elif getattr(config, "image_size", None) is None and name != "siglip2":
        with pytest.raises(ValueError, match=r"config has no image_size; pass image_size=\(height, width\)"):
            vision_token_grid(config)
    else:
        expected = grid if name not in SIZELESS else (7, 7)
        assert vision_token_grid(config) == expected


def test_prefix_is_removed_and_rows_come_first(tower):
    """Against the tower itself: its last tokens, or its map read row by row."""
    name, config, prefix, grid, _ = tower
    if name == "siglip2":
        pytest.skip("takes patches, see test_siglip2_patches")
    backbone = VisionBackbone(config).eval()
    views = pixels()
    options = {"do_pooling": False} if name.startswith("timm") else {}
    with torch.no_grad():
        own = backbone.encoder(views, **options).last_hidden_state
        tokens = backbone(views)
    if own.ndim == 4:
        own = own if name == "timm_swin" else own.permute(0, 2, 3, 1)
        assert own.shape[1:3] == grid
        own = own.reshape(2, grid[0] * grid[1], -1)
    assert own.shape[1] == prefix + grid[0] * grid[1] or own.ndim == 4
    torch.testing.assert_close(tokens, own[:, prefix:] if prefix else own)


def test_siglip2_patches():
    """A patch's pixels reach the embedding in the order transformers' image processor gives them."""
    from transformers.models.siglip2.image_processing_siglip2 import Siglip2ImageProcessor

    config = TOWERS["siglip2"][0]()
    backbone = VisionBackbone(config).eval()
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    processor = Siglip2ImageProcessor(patch_size=16, max_num_patches=16, do_resize=False)
    inputs = processor(image, return_tensors="pt", input_data_format="channels_first")
    assert inputs["spatial_shapes"].tolist() == [[4, 4]]
    with torch.no_grad():
        expected = backbone.encoder(**inputs).last_hidden_state
        found = backbone((image.float() / 255 - 0.5)[None] / 0.5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_chunks_change_nothing(tower):
    _, config, _, _, _ = tower
    backbone = VisionBackbone(config).eval()
    views = pixels(5)
    whole = backbone(views)
    backbone.view_chunk_size = 2
    torch.testing.assert_close(backbone(views), whole, rtol=1e-5, atol=1e-6)


def test_trainable_blocks(tower):
    """k blocks learn, the last ones; gradients reach exactly those that can have one."""
    _, config, _, _, _ = tower
    for count in (0, 1, 2, -1):
        backbone = VisionBackbone(config, trainable_blocks=count).train()
        learning = {n for n, p in backbone.encoder.named_parameters() if p.requires_grad}
        everything = {n for n, _ in backbone.encoder.named_parameters()}
        if count == 0:
            assert not learning
        elif count == -1:
            assert learning == everything
        else:
            assert learning
            assert learning < everything
            assert len(learning) > len(
                {
                    n
                    for n, p in VisionBackbone(config, trainable_blocks=count - 1).encoder.named_parameters()
                    if p.requires_grad
                }
            )
            backbone(pixels()).square().sum().backward()
            # A block may hold a parameter its tower never uses (a mask token does not sit in a block).
            reached = {n for n, p in backbone.encoder.named_parameters() if p.grad is not None}
            assert reached == learning


def test_frozen_tower_leaves_no_autograd_state(tower):
    _, config, _, _, _ = tower
    backbone = VisionBackbone(config, trainable_blocks=0).train()
    assert not backbone.encoder.training
    before = {n: b.clone() for n, b in backbone.named_buffers()}
    output = backbone(pixels())
    assert output.grad_fn is None
    assert not output.requires_grad
    for name, buffer in backbone.named_buffers():
        torch.testing.assert_close(buffer, before[name], rtol=0, atol=0)


def test_gradients_of_pixels_pass_a_frozen_tower():
    backbone = VisionBackbone(TOWERS["siglip"][0](), trainable_blocks=0)
    views = pixels().requires_grad_()
    backbone(views).sum().backward()
    assert views.grad.abs().sum() > 0


def test_output_norm():
    config = TOWERS["siglip"][0]()
    backbone = VisionBackbone(config, trainable_blocks=0, output_norm=True)
    plain = VisionBackbone(config, trainable_blocks=0)
    assert {"norm.weight", "norm.bias"} == backbone.state_dict().keys() - plain.state_dict().keys()
    plain.encoder.load_state_dict(backbone.encoder.state_dict())
    views = pixels()
    torch.testing.assert_close(backbone(views), torch.nn.functional.layer_norm(plain(views), (32,)))
    assert backbone.norm.weight.requires_grad


def test_full_configs_give_their_vision_part():
    vision = {**PATCHES}
    for full in (SiglipConfig(vision_config=vision), CLIPConfig(vision_config=vision)):
        backbone = VisionBackbone(full)
        assert backbone.config.model_type == full.vision_config.model_type
        assert vision_token_grid(full) == (4, 4)
        assert not any("text" in name for name, _ in backbone.named_parameters())


def test_meta_device_and_dtype(tower):
    name, config, _, grid, _ = tower
    if name == "dinov3" and tower_is_old():
        pytest.skip("transformers 4.57 computes this tower's rotary tables on the CPU")
    with torch.device("meta"):
        backbone = VisionBackbone(config)
    assert all(p.device.type == "meta" for p in backbone.parameters())
    if name != "siglip2":  # resizes its positions by sizes read from a tensor
        assert backbone(torch.empty(2, 3, 64, 64, device="meta")).shape[1] == grid[0] * grid[1]


def tower_is_old():
    import transformers

    return transformers.__version__.startswith("4.")


def test_pixels_are_cast_to_the_towers_type():
    backbone = VisionBackbone(TOWERS["siglip"][0]()).bfloat16()
    assert backbone(pixels()).dtype == torch.bfloat16


def test_attention_implementation_is_passed_through():
    config = TOWERS["siglip"][0]()
    config._attn_implementation = "eager"
    assert VisionBackbone(config).encoder.config._attn_implementation == "eager"


def test_from_pretrained(tmp_path):
    """A whole SigLIP's folder and a tower's own give the same backbone as the weights they were saved from."""
    config = SiglipConfig(
        vision_config=PATCHES, text_config={**SMALL, "vocab_size": 16, "bos_token_id": 1, "eos_token_id": 2}
    )
    whole = AutoModel.from_config(config).eval()
    whole.save_pretrained(tmp_path / "whole")
    views = pixels()
    backbone = VisionBackbone.from_pretrained(str(tmp_path / "whole"), trainable_blocks=0, output_norm=True)
    with torch.no_grad():
        expected = whole.vision_model(views).last_hidden_state
    torch.testing.assert_close(backbone(views), torch.nn.functional.layer_norm(expected, (32,)))
    backbone.encoder.save_pretrained(tmp_path / "tower")
    again = VisionBackbone.from_pretrained(str(tmp_path / "tower"), dtype=torch.bfloat16)
    assert again.encoder.dtype == torch.bfloat16
    torch.testing.assert_close(again.float()(views), expected, rtol=0.1, atol=0.1)


def test_constructor_never_opens_a_socket(monkeypatch, tower):
    import socket

    def refuse(*_, **__):
        raise AssertionError("a constructor opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    _, config, _, _, _ = tower
    VisionBackbone(config)
    vision_token_grid(config, 64)


def test_errors():
    config = TOWERS["siglip"][0]()
    with pytest.raises(ValueError, match=r"trainable_blocks must be -1 \(all\), 0 \(none\) or the number .* got -2"):
        VisionBackbone(config, trainable_blocks=-2)
    with pytest.raises(ValueError, match="trainable_blocks=4, but SiglipVisionModel has 3 blocks"):
        VisionBackbone(config, trainable_blocks=4)
    with pytest.raises(ValueError, match="view_chunk_size must be positive or None, got 0"):
        VisionBackbone(config, view_chunk_size=0)
    with pytest.raises(ValueError, match="an image of 8x64 pixels is smaller than one patch of 16x16"):
        vision_token_grid(config, (8, 64))
    with pytest.raises(ValueError, match=r"expected one size or \(height, width\), got \(3, 64, 64\)"):
        vision_token_grid(config, (3, 64, 64))
