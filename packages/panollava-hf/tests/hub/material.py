"""Checkpoints, a panorama, and the outputs of the installed package for them, for tests that load exports elsewhere.

`python material.py FOLDER` writes `panorama.png`, and for each of `NAMES` an exported folder and its `.pt`.
"""

import sys
from pathlib import Path

import panollava_hf
import torch
from panollava_hf import (
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaForFeatureExtraction,
    PanoLLaVaProcessor,
    default_checkpoint,
)
from panollava_hf.hub import export_checkpoint
from PIL import Image
from torch.nn.functional import interpolate
from transformers import AutoConfig, AutoTokenizer, Qwen2Config

#: The embedded checkpoint, one with random towers, and the same with a LoRA adapter, which an export merges.
NAMES = ("embedded", "siglip", "adapted")


def write_panorama(path):
    """A panorama with structure at three scales."""
    generator = torch.Generator().manual_seed(0)
    grids = [torch.rand(1, 3, 128 // k, 256 // k, generator=generator) for k in (1, 4, 16)]
    image = sum(interpolate(grid, size=(128, 256)) for grid in grids)[0] / 3
    Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy()).save(path)
    return path


def tiny_checkpoint(folder, kind="PanoLLaVaForConditionalGeneration", vision_type="siglip_vision_model", **settings):
    """A checkpoint with random towers, tied embeddings, another rotary base than the default, and a real tokenizer."""
    torch.manual_seed(1)
    vision = AutoConfig.for_model(
        vision_type,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    tokenizer = AutoTokenizer.from_pretrained(default_checkpoint())
    text = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        rope_theta=1_000_000.0,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    config = panollava_hf.PanoLLaVaConfig(vision, text, latent_dimension=24, image_token_id=3, **settings)
    model = getattr(panollava_hf, kind)(config)
    model.save_pretrained(folder)
    mean = std = [0.5] * 3
    if kind == "PanoLLaVaForConditionalGeneration":
        panollava_hf.PanoLLaVaProcessor.from_config(config, tokenizer, mean, std).save_pretrained(folder)
    else:
        panollava_hf.PanoLLaVaImageProcessor.from_config(config, mean, std).save_pretrained(folder)
    return folder


@torch.no_grad()
def write_reference(checkpoint, panorama, path):
    """Store the outputs of the installed package for a checkpoint and a panorama."""
    processor = PanoLLaVaProcessor.from_pretrained(checkpoint)
    model = PanoLLaVaForConditionalGeneration.from_pretrained(checkpoint).eval()
    content = [{"type": "image"}, {"type": "text", "text": "What is ahead?"}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=[Image.open(panorama)], text=[prompt], return_tensors="pt")
    pixels = inputs["pixel_values"]
    features = PanoLLaVaForFeatureExtraction.from_pretrained(checkpoint).eval()(pixel_values=pixels)
    reference = {
        "prompt": prompt,
        "input_ids": inputs["input_ids"],
        "pixel_values": pixels,
        "logits": model(**inputs).logits,
        "loss": model(**inputs, labels=inputs["input_ids"]).loss,
        "tokens": model.generate(**inputs, max_new_tokens=12, do_sample=False),
        "image_features": torch.stack(list(model.get_image_features(pixels).pooler_output)),
        "latents": features.last_hidden_state,
        "vector": features.pooler_output,
    }
    torch.save(reference, path)


@torch.no_grad()
def add_adapter(folder):
    """Add a LoRA adapter that changes the outputs, and check that all of it is read again."""
    model = PanoLLaVaForConditionalGeneration.from_pretrained(folder, use_lora=True)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    wanted = {name: value for name, value in model.state_dict().items() if ".lora_" in name}
    again, info = PanoLLaVaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    found = {name: value for name, value in again.state_dict().items() if ".lora_" in name}
    assert not any(info.values()), info
    assert wanted
    assert wanted.keys() == found.keys()
    assert all(wanted[name].equal(found[name]) for name in wanted)


def write_all(folder):
    """Write everything that `probe.py` reads, for all checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    panorama = write_panorama(folder / "panorama.png")
    for name in NAMES:
        source = default_checkpoint() if name == "embedded" else tiny_checkpoint(folder / f"{name}-checkpoint")
        if name == "adapted":
            add_adapter(source)
        export_checkpoint(source, folder / name)
        write_reference(source, panorama, folder / f"{name}.pt")
        if name == "adapted":  # merging rounds each weight, so outputs are those of the merged weights
            before = torch.load(folder / "adapted.pt", weights_only=True)["loss"]
            write_reference(folder / name, panorama, folder / "adapted.pt")
            after = torch.load(folder / "adapted.pt", weights_only=True)["loss"]
            assert abs(after - before) <= 1e-6 * max(1, before), (before, after)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
