"""What a training step costs: floating-point operations and memory, computed from the configs.

`python -m tools.training_cost [--write]` prints the tables of docs/training.md, or writes them there. A model is built
without weights (on the meta device) to count its parameters; the rest is the formulas of that page:

- operations of a forward pass: two per weight and token, and `4 · T² · width` per layer for the attention of T tokens;
- a part costs one forward pass if nothing in or before it is trained, two if gradients pass through it, three if it is
  trained; attention has no weights, and costs three as soon as gradients pass through it;
- memory: 4 bytes per weight, 12 more per trained weight (gradient, two states of AdamW), what the layers keep for the
  backward pass, and the logits of the answers.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from panollava_core._towers import num_prefix_tokens, tower_blocks, vision_token_grid
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, PanoLLaVaForVICReg
from torch import nn
from transformers import Dinov2Config, LlamaConfig, Qwen2Config, SiglipVisionConfig

Stage = Literal["vicreg", "resampler", "lora", "full"]
#: The three stages, the last one with LoRA and in full.
STAGES: tuple[Stage, ...] = ("vicreg", "resampler", "lora", "full")
#: Resamplers that are an MLP on every token, before or after pooling. The others have attention or scans.
PLAIN_RESAMPLERS = ("mlp", "spatial_pool")


@dataclass(frozen=True)
class Cost:
    """The cost of one panorama in one stage.

    Attributes:
        image_tokens: Tokens of the language model.
        weights: Weights in memory.
        trained: Weights that are trained.
        flops: Floating-point operations of forward and backward pass.
        states: Bytes for weights, gradients and AdamW's states.
        activations: Bytes kept for the backward pass, for each panorama of a batch.
        logits: Bytes for the logits of the labels, their logarithms and their gradients, likewise.
    """

    image_tokens: int
    weights: int
    trained: int
    flops: int
    states: int
    activations: int
    logits: int = 0


def cost(
    config: PanoLLaVaConfig, stage: Stage, *, text_tokens: int, labels: int | None = None, bf16: bool = False
) -> Cost:
    """The cost of one panorama in a stage, with a frozen vision tower.

    Args:
        config: The model's config; the vision tower is a ViT of transformers, the resampler `mlp` or `spatial_pool`.
        stage: `vicreg`, `resampler`, or `finetune` as `lora` or `full`.
        text_tokens: Tokens of all questions and answers about the panorama, with the chat template.
        labels: Those of them that are trained; `train` computes logits only for these. None: all.
        bf16: Whether the activations of the language model are bfloat16; weights stay float32.

    Raises:
        ValueError: There is no formula for this resampler.

    Example:
        >>> tower = SiglipVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        ...                            image_size=32, patch_size=8)
        >>> text = Qwen2Config(vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        ...                    num_attention_heads=2, num_key_value_heads=1)
        >>> config = PanoLLaVaConfig(tower, text, latent_dimension=32)
        >>> cost(config, "vicreg", text_tokens=0).trained
        4352
    """
    if config.resampler_type not in PLAIN_RESAMPLERS:
        raise ValueError(f"resampler {config.resampler_type!r}: there are formulas for {', '.join(PLAIN_RESAMPLERS)}")
    with torch.device("meta"):
        model: Any = (PanoLLaVaForVICReg if stage == "vicreg" else PanoLLaVaForConditionalGeneration)(config)
    whole = model.base_model
    views = len(config.view_plan())
    latents = views * whole.token_grid[0] * whole.token_grid[1]
    patches = views * _product(vision_token_grid(config.vision_config, config.view_size))
    rows = patches if config.resampler_type == "mlp" else latents
    resampler, kept_by_resampler = 2 * _matrices(whole.resampler) * rows, 4 * _kept_by_mlp(whole.resampler, rows)
    flops = vision_flops(config, whole.vision_backbone.encoder)
    weights, image_tokens = _count(model), config.num_image_tokens()
    if stage == "vicreg":
        flops += 3 * (resampler + 2 * _matrices(model.vicreg_projector) * latents)
        trained = _count(whole.resampler, model.vicreg_projector)
        kept = kept_by_resampler + 4 * _kept_by_mlp(model.vicreg_projector, latents)
        return Cost(image_tokens, weights, trained, flops, 4 * weights + 12 * trained, kept)
    tokens, passes = image_tokens + text_tokens, 3 if stage == "full" else 2
    labels = text_tokens if labels is None else labels
    matrices, attention = language_flops(config, whole.language_model, tokens, labels)
    flops += 3 * 2 * _matrices(whole.projector) * latents + passes * matrices + 3 * attention
    kept = _kept_by_language_model(config, tokens, stage) * (2 if bf16 else 4)
    parts = [whole.projector]
    adapters = 0
    if stage == "lora":
        adapters = config.lora_r * sum(m.in_features + m.out_features for m in _linears(whole.language_model))
        flops += 3 * 2 * adapters * tokens
    if stage == "full":
        parts += [whole.language_model, model.lm_head]
    if stage == "resampler":
        parts.append(whole.resampler)
        kept += kept_by_resampler
    flops += (3 if stage == "resampler" else 1) * resampler
    trained, weights = _count(*parts) + adapters, weights + adapters
    logits = 3 * 4 * labels * config.text_config.vocab_size
    return Cost(image_tokens, weights, trained, flops, 4 * weights + 12 * trained, kept, logits)


def vision_flops(config: PanoLLaVaConfig, tower: nn.Module) -> int:
    """Operations of a forward pass of all views of a panorama through a ViT."""
    vision = config.vision_config
    patches = _product(vision_token_grid(vision, config.view_size))
    tokens = patches + (num_prefix_tokens(vision) or 0)
    blocks = tower_blocks(tower)
    attention = 4 * tokens**2 * vision.hidden_size * len(blocks)
    patching = 2 * patches * 3 * vision.patch_size**2 * vision.hidden_size
    return len(config.view_plan()) * (2 * sum(map(_matrices, blocks)) * tokens + attention + patching)


def language_flops(config: PanoLLaVaConfig, model: nn.Module, tokens: int, labels: int) -> tuple[int, int]:
    """Operations of a forward pass of the language model: of its matrices with the head for `labels`, and of attention.

    Attention counts all pairs of tokens, as most implementations compute them.
    """
    text = config.text_config
    width = text.num_attention_heads * _head_dim(text)
    head = 2 * text.hidden_size * text.vocab_size * labels
    return 2 * _matrices(model) * tokens + head, 4 * tokens**2 * width * text.num_hidden_layers


def _kept_by_language_model(config: PanoLLaVaConfig, tokens: int, stage: Stage) -> int:
    """Numbers that the layers keep for the backward pass, with attention that does not keep its scores.

    Of each frozen layer: the inputs of both norms; queries, keys, values and result of the attention; gate, activated
    gate and the other half of the MLP. When it is trained, also the norms' results before and after their weights,
    and the input of the last matrix. LoRA with dropout keeps a mask and a product for every matrix it adapts.
    """
    text = config.text_config
    head, width, wide = _head_dim(text), text.hidden_size, text.intermediate_size
    queries, keys = text.num_attention_heads * head, text.num_key_value_heads * head
    each = 2 * width + 2 * queries + 2 * keys + 3 * wide
    if stage == "full":
        each += 4 * width + wide
    elif stage == "lora":
        each += (2 if config.lora_dropout else 1) * (5 * width + queries + wide)
    return tokens * text.num_hidden_layers * each


def _kept_by_mlp(module: nn.Module, rows: int) -> int:
    """Linear layers keep their input; between two of them, norm and GELU keep theirs."""
    layers = list(_linears(module))
    return rows * (sum(m.in_features for m in layers) + 2 * sum(m.out_features for m in layers[:-1]))


def _linears(module: nn.Module) -> Iterable[nn.Linear]:
    return (m for m in module.modules() if isinstance(m, nn.Linear))


def _matrices(module: nn.Module) -> int:
    return sum(m.weight.numel() for m in _linears(module))


def _count(*modules: nn.Module) -> int:
    """Weights of all modules; those that two share count once."""
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def _head_dim(text: Any) -> int:
    return getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads


def _product(grid: tuple[int, int]) -> int:
    return grid[0] * grid[1]


# The tables of docs/training.md

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "training.md"
BEGIN, END = "<!-- cost: begin -->", "<!-- cost: end -->"
#: Tokens of one question and its answer with the chat template, in the tables.
QUESTION = 60
#: Tokens of its answer and the end, which are trained.
ANSWER = 12
#: Operations per second: what DINOv2-small and SmolLM2-135M reached on two CPU cores in float32 (docs/training.md), and
#: 40 % of the bfloat16 peak of an NVIDIA A100, 312e12.
TWO_CORES, ONE_GPU = 100e9, 0.4 * 312e12

_CUBEMAP: dict[str, Any] = {"crop_strategy": "cubemap", "fov_deg": 104.0}
_POOLED: dict[str, Any] = {"resampler_type": "spatial_pool", "num_latent_tokens": 64}


def _tiny() -> PanoLLaVaConfig:
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = SiglipVisionConfig(**small, image_size=32, patch_size=8)
    text = Qwen2Config(**small, vocab_size=400, num_key_value_heads=1, tie_word_embeddings=True)
    return PanoLLaVaConfig(vision, text, latent_dimension=32, image_token_id=3)


def _small() -> PanoLLaVaConfig:
    vision = Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14)
    text = LlamaConfig(
        vocab_size=49153, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    return PanoLLaVaConfig(vision, text, latent_dimension=384, view_size=112, image_token_id=3, **_CUBEMAP)


def _original() -> PanoLLaVaConfig:
    vision = SiglipVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, image_size=224,
        patch_size=16,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    return PanoLLaVaConfig(vision, text, latent_dimension=768, image_token_id=3)


def _large() -> PanoLLaVaConfig:
    vision = SiglipVisionConfig(
        hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, image_size=384,
        patch_size=14,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
        num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    return PanoLLaVaConfig(vision, text, latent_dimension=1152, image_token_id=3, **_POOLED)


#: Title → config. The sizes are those of the published towers.
PAIRS = {
    "the recipe `tiny`": _tiny,
    "DINOv2-small, SmolLM2-135M; `cubemap` views of 112 pixels, `mlp`": _small,
    "the recipe `original`: SigLIP-base, Qwen2.5-0.5B; 7 views of 224, `mlp`": _original,
    "SigLIP-so400m, Qwen2.5-1.5B; 7 views of 384, `spatial_pool` to 64 tokens": _large,
}
TITLES = {"vicreg": "`vicreg`", "resampler": "`resampler`", "lora": "`finetune`, LoRA", "full": "`finetune`, full"}


def rows(title: str) -> list[str]:
    """The rows of a pair of towers, one for each stage."""
    config = PAIRS[title]()
    made = []
    for stage in STAGES:
        plain, half = (cost(config, stage, text_tokens=QUESTION, labels=ANSWER, bf16=bf16) for bf16 in (False, True))
        each, each_half = (bytes_in_words(one.activations + one.logits) for one in (plain, half))
        cells = [
            TITLES[stage],
            weights_in_words(plain.trained),
            _digits(plain.flops / 1e9),
            bytes_in_words(plain.states),
            each,
            each_half,
            time_in_words(1000 * plain.flops / TWO_CORES),
            time_in_words(1000 * plain.flops / ONE_GPU),
        ]
        made.append(f"| {' | '.join(cells)} |")
    return made


def tables() -> str:
    """The tables of all pairs in Markdown."""
    head = ("stage", "trained", "GFLOP", "weights and states", "float32", "bf16", "two CPU cores", "one A100")
    parts = []
    for title, make in PAIRS.items():
        tokens = make().num_image_tokens()
        parts += [f"{title[0].upper()}{title[1:]}: {tokens} image tokens.", ""]
        parts += [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows(title), ""]
    return "\n".join(parts)


def bytes_in_words(count: float) -> str:
    """Bytes as megabytes or gigabytes."""
    return f"{_digits(count / 1e9)} GB" if count >= 1e9 else f"{_digits(count / 1e6)} MB"


def weights_in_words(count: float) -> str:
    """A number of weights in thousands or millions."""
    return f"{_digits(count / 1e6)} M" if count >= 1e6 else f"{_digits(count / 1e3)} k"


def time_in_words(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 1:
        return "< 1 s"
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{_digits(seconds / length)} {unit}"
    return f"{_digits(seconds)} s"


def _digits(number: float) -> str:
    """Two significant digits, or all digits before the point."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def with_tables(page: str, made: str) -> str:
    """The page with these tables between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE}: expected the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{made}{END}{after}"


def main() -> None:
    """Print the tables, or write them into docs/training.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write them into {PAGE.relative_to(ROOT)}")
    made = tables()
    if parser.parse_args().write:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    else:
        sys.stdout.write(made)


if __name__ == "__main__":
    main()
