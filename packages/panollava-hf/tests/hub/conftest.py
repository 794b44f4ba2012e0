import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def panorama_jpeg(tmp_path_factory):
    """A panorama as a file, with structure at all scales."""
    path = tmp_path_factory.mktemp("panorama") / "panorama.png"
    generator = torch.Generator().manual_seed(0)
    picture = sum(
        torch.nn.functional.interpolate(torch.rand(1, 3, 128 // k, 256 // k, generator=generator), size=(128, 256))
        for k in (1, 4, 16)
    )
    Image.fromarray((picture[0] / 3 * 255).byte().permute(1, 2, 0).numpy()).save(path)
    return path


def tiny_checkpoint(folder, kind="PanoLLaVaForConditionalGeneration", vision_type="siglip_vision_model", **settings):
    """A checkpoint with random towers: tied embeddings, a rotary base that is nobody's default, real tokenizer."""
    import panollava_hf
    from panollava_hf.answering import default_checkpoint
    from transformers import AutoConfig, AutoTokenizer, Qwen2Config

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
    text = Qwen2Config(
        vocab_size=384,
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
        tokenizer = AutoTokenizer.from_pretrained(default_checkpoint())
        panollava_hf.PanoLLaVaProcessor.from_config(config, tokenizer, mean, std).save_pretrained(folder)
    else:
        panollava_hf.PanoLLaVaImageProcessor.from_config(config, mean, std).save_pretrained(folder)
    return folder


@torch.no_grad()
def write_reference(checkpoint, panorama, path):
    """What the installed package makes of a checkpoint and a panorama."""
    from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaForFeatureExtraction, PanoLLaVaProcessor

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
        "tokens": model.generate(**inputs, max_new_tokens=12, do_sample=False),
        "image_features": torch.stack(list(model.get_image_features(pixels).pooler_output)),
        "latents": features.last_hidden_state,
        "vector": features.pooler_output,
    }
    torch.save(reference, path)


@pytest.fixture(scope="session", params=[pytest.param("embedded", marks=pytest.mark.slow), "siglip"])
def exported(request, tmp_path_factory, panorama_jpeg):
    """An exported folder and the installed package's results for its checkpoint."""
    from panollava_hf.answering import default_checkpoint
    from panollava_hf.hub.export import export_checkpoint

    folder = tmp_path_factory.mktemp(request.param)
    source = default_checkpoint() if request.param == "embedded" else tiny_checkpoint(folder / "checkpoint")
    export_checkpoint(source, folder / "export.v1")
    write_reference(source, panorama_jpeg, folder / "reference.pt")
    return folder / "export.v1", folder / "reference.pt"


@pytest.fixture(scope="session")
def reference(tmp_path_factory, panorama_jpeg):
    """The installed package's results for the embedded checkpoint."""
    from panollava_hf.answering import default_checkpoint

    path = tmp_path_factory.mktemp("reference") / "reference.pt"
    write_reference(default_checkpoint(), panorama_jpeg, path)
    return path


@pytest.fixture(scope="session")
def embedded_export(tmp_path_factory):
    from panollava_hf.answering import default_checkpoint
    from panollava_hf.hub.export import export_checkpoint

    return export_checkpoint(default_checkpoint(), tmp_path_factory.mktemp("embedded") / "export")


def _loopback():
    spec = importlib.util.spec_from_file_location("loopback", HERE / "loopback.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hub():
    """A Hub that runs while the test does; `hub.token` may write."""
    module = _loopback()
    with module.Hub() as running:
        running.token = module.TOKEN
        yield running


@pytest.fixture(scope="session")
def make_checkpoint():
    return tiny_checkpoint


@pytest.fixture
def clean_run(tmp_path):
    """Run a script as a stranger does: a process without our packages, with an empty cache."""

    def run(script, *arguments, endpoint=None, home=None, token=None):
        environment = client_environment(home or tmp_path / "home", endpoint, token)
        command = [sys.executable, str(HERE / "hide.py"), str(script), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    return run


@pytest.fixture
def probe(clean_run):
    """Run `probe.py` as a stranger and return what it reports."""

    def run(*arguments, **client):
        done = clean_run(HERE / "probe.py", *arguments, **client)
        return json.loads(done.stdout.splitlines()[-1])

    return run


def client_environment(home, endpoint=None, token=None):
    """Settings of huggingface_hub for one endpoint and one cache; without an endpoint it is offline."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {
        **kept,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",  # it speaks another protocol
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }
    settings.update({"HF_ENDPOINT": endpoint} if endpoint else {"HF_HUB_OFFLINE": "1"})
    settings.update({"HF_TOKEN": token} if token else {})
    return settings


@pytest.fixture(scope="session")
def served(embedded_export, tmp_path_factory):
    """A Hub to which the command has pushed the embedded checkpoint, and what the command said."""
    module = _loopback()
    with module.Hub() as running:
        running.token = module.TOKEN
        environment = client_environment(tmp_path_factory.mktemp("home"), running.endpoint, running.token)
        arguments = ["push", str(embedded_export), "owner/pano.v1", "--tag", "v0.1.0"]
        command = [sys.executable, "-m", "panollava_hf", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        yield running, done


@pytest.fixture
def own_copy(tmp_path):
    """A copy of a folder that a test may spoil."""
    return lambda folder: Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture
def client_run(tmp_path):
    """Run code with the installed packages in a process of its own against an endpoint."""

    def run(code, *arguments, endpoint, token):
        environment = client_environment(tmp_path / "home", endpoint, token)
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    return run
