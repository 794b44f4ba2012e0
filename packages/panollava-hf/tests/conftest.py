import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(scope="session")
def checkpoint():
    """The embedded checkpoint's folder: small, with real files."""
    from panollava_hf import default_checkpoint

    return default_checkpoint()


@pytest.fixture(scope="session")
def open_checkpoint(checkpoint, tmp_path_factory):
    """A copy of the embedded checkpoint that answers every question about every image, and reports none as unknown."""
    import shutil

    from panollava_hf._files import edit_json

    folder = tmp_path_factory.mktemp("open") / "model"
    shutil.copytree(checkpoint, folder)
    nothing = {"known_words": None, "known_topics": None, "known_images": None}
    edit_json(folder / "config.json", lambda config: config.update(nothing))
    return folder


@pytest.fixture(scope="session")
def processor(checkpoint):
    from panollava_hf import PanoLLaVaProcessor

    return PanoLLaVaProcessor.from_pretrained(checkpoint)


@pytest.fixture
def model(checkpoint):
    from panollava_hf import PanoLLaVaForConditionalGeneration

    return PanoLLaVaForConditionalGeneration.from_pretrained(checkpoint).eval()


def make_panorama(width, seed=0):
    """A smooth coloured panorama, different for every seed, continuous across the seam."""
    generator = np.random.default_rng(seed)
    longitude = (np.arange(width) + 0.5) / width * 2 * np.pi
    latitude = (np.arange(width // 2) + 0.5) / (width // 2) * np.pi
    planes = []
    for _ in range(3):
        phase, tilt = generator.uniform(0, 6, 2)
        planes.append(0.5 + 0.25 * np.sin(2 * longitude + phase)[None] + 0.25 * np.cos(3 * latitude + tilt)[:, None])
    return (np.stack(planes, -1) * 255).astype(np.uint8)


@pytest.fixture
def panorama():
    return make_panorama(256)


@pytest.fixture
def panorama_file(tmp_path, panorama):
    path = tmp_path / "panorama.png"
    Image.fromarray(panorama).save(path)
    return path


@pytest.fixture(scope="session")
def scene_panorama():
    """A rendered PanoShapes scene, which the embedded checkpoint knows."""
    from panollava_hf.panoshapes import render_scene, sample_scene

    return render_scene(sample_scene(0, "test", 4), 256)


@pytest.fixture
def scene_file(tmp_path, scene_panorama):
    path = tmp_path / "scene.png"
    Image.fromarray(scene_panorama).save(path)
    return path


@pytest.fixture
def prompt(processor):
    def ask(question, images=1):
        content = [{"type": "image"}] * images + [{"type": "text", "text": question}]
        return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    return ask


@pytest.fixture(scope="session")
def tiny_config():
    """Two small random towers of the families the defaults name."""
    from panollava_hf import PanoLLaVaConfig
    from transformers import Qwen2Config, SiglipVisionConfig

    def build(**settings):
        vision = SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
        )
        text = Qwen2Config(
            vocab_size=99,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
        return PanoLLaVaConfig(vision, text, **{"latent_dimension": 24, "image_token_id": 98, **settings})

    return build


@pytest.fixture(scope="session")
def tiny_inputs():
    """Ids with placeholders and random views for a config: `[text, image, text]` per sample."""

    def build(config, batch=2):
        tokens = config.num_image_tokens()
        text = torch.randint(3, 90, (batch, 6))
        image = torch.full((batch, tokens), config.image_token_id)
        return {
            "input_ids": torch.cat([text[:, :2], image, text[:, 2:]], 1),
            "attention_mask": torch.ones(batch, tokens + 6, dtype=torch.long),
            "pixel_values": torch.randn(batch, len(config.view_plan()), 3, *config.image_size),
        }

    return build


@pytest.fixture(scope="session")
def training_scenes(tmp_path_factory):
    """A dozen PanoShapes scenes of the training split, and four of the test split."""
    from panollava_hf.panoshapes import write_panoshapes

    folder = tmp_path_factory.mktemp("data") / "panoshapes"
    write_panoshapes(folder, "train", 12, width=128, workers=1)
    write_panoshapes(folder, "test", 4, width=128, workers=1)
    return folder


@pytest.fixture
def datasets_cache(tmp_path_factory, monkeypatch):
    """A temporary folder in which `datasets` caches tables."""
    import datasets

    folder = tmp_path_factory.mktemp("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder
