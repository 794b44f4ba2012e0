"""panollava-hf: cost of the wrapper compared with the bare language model, of the command, and of loading."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Qwen2Config, SiglipVisionConfig

from tools.bench.harness import compare, milliseconds, peak_memory, start_up_seconds, table

NEW_TOKENS = 48


def _config(layers: int, hidden: int) -> "object":
    from panollava_hf import PanoLLaVaConfig

    vision = SiglipVisionConfig(
        hidden_size=96, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4, image_size=112, patch_size=14
    )
    text = Qwen2Config(
        vocab_size=32000,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return PanoLLaVaConfig(vision, text, latent_dimension=96, image_token_id=31999)


def _generation() -> list[list[str]]:
    from panollava_hf import PanoLLaVaForConditionalGeneration

    torch.manual_seed(0)
    config = _config(layers=12, hidden=512)
    model = PanoLLaVaForConditionalGeneration(config).eval()
    bare = AutoModelForCausalLM.from_config(config.text_config).eval()
    text = torch.randint(3, 30000, (1, 24))
    image = torch.full((1, config.num_image_tokens()), config.image_token_id)
    prompt = torch.cat([text[:, :8], image, text[:, 8:]], 1)
    words = torch.randint(3, 30000, prompt.shape)
    pixels = torch.randn(1, len(config.view_plan()), 3, *config.image_size)
    length = {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS, "do_sample": False}

    def mask(ids: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    with torch.no_grad():
        times = compare(
            {
                "panollava": lambda: model.generate(**mask(prompt), pixel_values=pixels, **length),
                "vision": lambda: model.get_image_features(pixels),
                "bare": lambda: bare.generate(**mask(words), **length),
            },
            rounds=9,
            seconds=120,
        )
    language = times["panollava"] - times["vision"]
    work = f"`generate`: {prompt.shape[1]} prompt tokens, {NEW_TOKENS} new ones"
    return [
        [work, milliseconds(language), milliseconds(times["bare"]), f"{language / times['bare']:.3f}×", "≤ 1.03×"],
        ["the same with the vision side (7 views)", milliseconds(times["panollava"]), milliseconds(times["bare"]),
         f"{times['panollava'] / times['bare']:.3f}×", ""],
    ]  # fmt: skip


def _start_up() -> list[list[str]]:
    """Median CPU seconds of starting the command, in turns with importing transformers."""
    work = {
        "`panollava --help`, CPU seconds": (("-m", "panollava_hf", "--help"), "≤ 0.15×"),
        "`panollava ask` of a missing file, CPU seconds": (("-c", _MISSING_FILE), ""),
        "`import panollava_hf`, CPU seconds": (("-c", "import panollava_hf"), ""),
    }
    commands = {name: arguments for name, (arguments, _) in work.items()}
    commands["peer"] = ("-c", "import transformers")
    medians = start_up_seconds(commands)
    peer = medians.pop("peer")
    return [
        [name, milliseconds(value), milliseconds(peer), f"{value / peer:.3f}×", work[name][1]]
        for name, value in medians.items()
    ]


_MISSING_FILE = "from panollava_hf.cli import run; assert run(['ask', 'missing.jpg', 'What?']) == 2"


def _load(folder: str) -> Callable[[], object]:
    from panollava_hf import PanoLLaVaForConditionalGeneration, default_checkpoint

    PanoLLaVaForConditionalGeneration.from_pretrained(default_checkpoint())  # imports and allocator warmed up

    def load() -> object:
        model = PanoLLaVaForConditionalGeneration.from_pretrained(folder)
        return model, [p.sum() for p in model.parameters()]  # weights are mapped: only reading them brings them in

    return load


def _memory() -> list[str]:
    from panollava_hf import PanoLLaVaForConditionalGeneration

    with tempfile.TemporaryDirectory() as folder:
        PanoLLaVaForConditionalGeneration(_config(layers=24, hidden=768)).save_pretrained(folder)
        size = sum(f.stat().st_size for f in Path(folder).glob("*.safetensors"))
        _, above = peak_memory(partial(_load, folder))
    file = f"file {size / 2**20:.0f} MiB"
    work = "`from_pretrained` and every weight read once, peak memory above the start"
    return [work, f"{above / 2**20:.0f} MiB", file, f"{above / size:.2f}×", "≤ 1.2×"]


def run() -> str:
    """Measure and return the section's Markdown."""
    rows = [*_generation(), *_start_up(), _memory()]
    peers = ["work", "panollava-hf", "bare language model, `import transformers`, or file", "ratio", "goal"]
    return f"## panollava-hf\n\n{table(peers, rows)}"
