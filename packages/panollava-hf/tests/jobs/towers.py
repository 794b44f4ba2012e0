"""A small vision tower, and panoramas for it."""

import io
import json

import numpy as np
import torch
from PIL import Image

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIDE = 28


def save_tower(folder, seed=0, width=16):
    """A small random DINOv2 as transformers saves it."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(seed)
    config = Dinov2Config(
        hidden_size=width, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=14, mlp_ratio=2
    )
    model = Dinov2Model(config).eval()
    for parameter in model.parameters():  # as after training: vectors of different images differ
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    settings = {
        "image_processor_type": "BitImageProcessor", "image_mean": MEAN, "image_std": STD, "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE}, "size": {"shortest_edge": 32},
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return model


def seamless(seed, width=256):
    """A smooth panorama, different for every seed, whose left and right edges meet."""
    generator = np.random.default_rng(seed)
    x, y = np.arange(width) / width * 2 * np.pi, np.linspace(-1, 1, width // 2)[:, None]
    planes = [np.sin(generator.integers(1, 5) * x + generator.uniform(0, 6) + 3 * y) for _ in range(3)]
    return ((np.stack(planes, -1) + 1) * 127).astype(np.uint8)


def write_eight(folder):
    """Four good panoramas and four that cannot be read."""
    folder.mkdir()
    for seed in range(4):
        Image.fromarray(seamless(seed)).save(folder / f"good{seed}.png")
    (folder / "bad0.jpg").write_bytes(b"")
    (folder / "bad1.jpg").write_bytes(b"hello")
    Image.new("RGB", (64, 64)).save(folder / "bad2.png")
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (64, 128, 3), np.uint8)).save(file, "jpeg")
    (folder / "bad3.jpg").write_bytes(file.getvalue()[:700])
    return sorted(folder.iterdir())
