"""Every kind of tower: tokens, chunks, freezing, loading, and that constructors download nothing."""

import socket

import pytest
import torch
import transformers
from panollava_core import VisionBackbone, vision_token_grid
from transformers import AutoModel, CLIPConfig, Siglip2VisionConfig, SiglipConfig

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
PATCHES = {**SMALL, "image_size": 64, "patch_size": 16}


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

    config = Siglip2VisionConfig(**SMALL, patch_size=16, num_patches=16)
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
    """The last k blocks are trained, and gradients reach exactly their parameters."""
    _, config, _, _, _ = tower
    for count in (0, 1, 2, -1):
        backbone = VisionBackbone(config, trainable_blocks=count).train()
        trained = {n for n, p in backbone.encoder.named_parameters() if p.requires_grad}
        everything = {n for n, _ in backbone.encoder.named_parameters()}
        if count == 0:
            assert not trained
        elif count == -1:
            assert trained == everything
        else:
            fewer = VisionBackbone(config, trainable_blocks=count - 1).encoder.parameters()
            assert trained < everything
            assert len(trained) > sum(p.requires_grad for p in fewer)
            backbone(pixels()).square().sum().backward()
            # A block may hold a parameter its tower never uses (a mask token does not sit in a block).
            reached = {n for n, p in backbone.encoder.named_parameters() if p.grad is not None}
            assert reached == trained


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


def test_gradients_of_pixels_pass_a_frozen_tower(siglip):
    backbone = VisionBackbone(siglip, trainable_blocks=0)
    views = pixels().requires_grad_()
    backbone(views).sum().backward()
    assert views.grad.abs().sum() > 0


def test_output_norm(siglip):
    backbone = VisionBackbone(siglip, trainable_blocks=0, output_norm=True)
    plain = VisionBackbone(siglip, trainable_blocks=0)
    assert {"norm.weight", "norm.bias"} == backbone.state_dict().keys() - plain.state_dict().keys()
    plain.encoder.load_state_dict(backbone.encoder.state_dict())
    views = pixels()
    torch.testing.assert_close(backbone(views), torch.nn.functional.layer_norm(plain(views), (32,)))
    assert backbone.norm.weight.requires_grad


def test_meta_device_and_dtype(tower):
    name, config, _, grid, _ = tower
    if name == "dinov3" and transformers.__version__.startswith("4."):
        pytest.skip("transformers 4.57 computes this tower's rotary tables on the CPU")
    with torch.device("meta"):
        backbone = VisionBackbone(config)
    assert all(p.device.type == "meta" for p in backbone.parameters())
    if name != "siglip2":  # resizes its positions by sizes read from a tensor
        assert backbone(torch.empty(2, 3, 64, 64, device="meta")).shape[1] == grid[0] * grid[1]


def test_pixels_are_cast_to_the_towers_type(siglip):
    backbone = VisionBackbone(siglip).bfloat16()
    assert backbone(pixels()).dtype == torch.bfloat16


def test_attention_implementation_is_passed_through(siglip):
    siglip._attn_implementation = "eager"
    assert VisionBackbone(siglip).encoder.config._attn_implementation == "eager"


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


def test_full_configs_give_their_vision_part():
    for full in (SiglipConfig(vision_config=PATCHES), CLIPConfig(vision_config=PATCHES)):
        backbone = VisionBackbone(full)
        assert backbone.config.model_type == full.vision_config.model_type
        assert not any("text" in name for name, _ in backbone.named_parameters())


def test_constructor_never_opens_a_socket(monkeypatch, tower):
    def refuse(*_, **__):
        raise AssertionError("a constructor opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    VisionBackbone(tower[1])


def test_errors(siglip):
    with pytest.raises(ValueError, match=r"trainable_blocks must be -1 \(all\), 0 \(none\) or the number .* got -2"):
        VisionBackbone(siglip, trainable_blocks=-2)
    with pytest.raises(ValueError, match="trainable_blocks=4, but SiglipVisionModel has 3 blocks"):
        VisionBackbone(siglip, trainable_blocks=4)
    with pytest.raises(ValueError, match="view_chunk_size must be positive or None, got 0"):
        VisionBackbone(siglip, view_chunk_size=0)
