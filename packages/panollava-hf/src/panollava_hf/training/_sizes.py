"""Sizes of a recipe for two towers and a table: image tokens, batches, epochs, LoRA, workers. All rules are here.

They are rules of thumb on the safe side: a run that starts, fits into memory and has enough steps to learn something.
"""

import math
from dataclasses import dataclass

from panollava_hf.training._machine import Machine

#: Image tokens of a panorama at most: without an accelerator, and with one.
_TOKENS_CPU, _TOKENS_ACCELERATOR = 256, 2048
#: A language model with more parameters is trained with LoRA.
_FULL_PARAMETERS = 20_000_000
#: Share of the memory that is used, for what is not counted.
_SHARE = 0.6
#: Bytes that a layer keeps for the backward pass, per token and unit of its width, in 32 bits; half of it in 16 bits.
#: Korthikanti et al. 2022 (https://arxiv.org/abs/2205.05198) count 34 bytes in 16 bits, without attention scores.
_LAYER_BYTES = 68
#: Copies of the logits while the loss is computed, with their gradients, in 32 bits.
_LOGITS = 3
#: Largest batch of panoramas.
_BATCH_CPU, _BATCH_ACCELERATOR = 2, 16
#: Panoramas that a stage should see, and how often it sees each at most.
_SEEN = {"resampler": (3000, 20), "finetune": (5000, 30)}
#: Questions about a panorama in one step.
MOST_QUESTIONS = 8


@dataclass(frozen=True)
class Workload:
    """What is trained on what.

    Attributes:
        panoramas: Number of panoramas.
        questions: Largest number of questions about one of them.
        image_tokens: Tokens of a panorama.
        text_tokens: Tokens of the longest question with its answer.
        parameters: All parameters.
        language_parameters: Those of the language model.
        connector_parameters: Those of resampler and projector.
        layers: Layers of the language model.
        width: Their width.
        vocabulary: Size of its vocabulary.
    """

    panoramas: int
    questions: int
    image_tokens: int
    text_tokens: int
    parameters: int
    language_parameters: int
    connector_parameters: int
    layers: int
    width: int
    vocabulary: int


@dataclass(frozen=True)
class Sizes:
    """The sizes of a recipe.

    Attributes:
        language_model: `lora` or `full`, for the stage finetune.
        learning_rates: Peak learning rate of each stage.
        batch_size: Panoramas per batch.
        accumulation: Batches per step.
        epochs: How often each stage sees each panorama.
        save_every: Steps between checkpoints of each stage.
        log_every: Steps between reports of each stage.
        workers: Processes that load panoramas.
        bf16: Whether to compute in bfloat16.
        gradient_checkpointing: Whether memory is scarce.
    """

    language_model: str
    learning_rates: dict[str, float]
    batch_size: int
    accumulation: int
    epochs: dict[str, int]
    save_every: dict[str, int]
    log_every: dict[str, int]
    workers: int
    bf16: bool
    gradient_checkpointing: bool


def tokens_per_view(views: int, own: int, machine: Machine, positions: int | None) -> int:
    """How many tokens each view should have: the tower's own, or fewer on a square grid.

    Args:
        views: Views of a panorama.
        own: Tokens of a view from the vision tower.
        machine: Where the model is trained.
        positions: Tokens that the language model reads; at most half of them are used for images.

    Example:
        >>> tokens_per_view(7, 256, Machine(2, 16 * 10**9), 8192)
        36
        >>> tokens_per_view(7, 256, Machine(8, 64 * 10**9, "cuda", 80 * 10**9), 8192)
        256
    """
    most = _TOKENS_CPU if machine.accelerator is None else _TOKENS_ACCELERATOR
    if positions is not None:
        most = min(most, positions // 2)
    return own if own * views <= most else max(1, math.isqrt(most // views)) ** 2


def choose_sizes(work: Workload, machine: Machine) -> Sizes:
    """Sizes for a table and a machine.

    Args:
        work: What is trained on what.
        machine: Where.
    """
    language_model = "full" if work.language_parameters <= _FULL_PARAMETERS else "lora"
    trained = work.connector_parameters
    trained += work.language_parameters if language_model == "full" else work.language_parameters // 25
    free = _SHARE * machine.training_memory - 4 * work.parameters - 12 * trained
    fitting = int(free / activation_bytes(work, has_bf16=machine.has_bf16)) if machine.training_memory else 1
    most = _BATCH_CPU if machine.accelerator is None else _BATCH_ACCELERATOR
    batch_size = max(1, min(fitting, most, work.panoramas))
    together = 16 if work.panoramas >= 1000 else 8 if work.panoramas >= 64 else 4
    accumulation = max(1, min(together, work.panoramas) // batch_size)
    epochs = {stage: min(most, max(1, round(seen / work.panoramas))) for stage, (seen, most) in _SEEN.items()}
    steps = {stage: max(1, count * work.panoramas // (batch_size * accumulation)) for stage, count in epochs.items()}
    few = 1 if machine.accelerator is None else 2
    return Sizes(
        language_model,
        {"resampler": 1e-3, "finetune": 1e-3 if language_model == "full" else 2e-4},
        batch_size,
        accumulation,
        epochs,
        {stage: min(500, max(10, count // 10)) for stage, count in steps.items()},
        {stage: min(50, max(1, count // 50)) for stage, count in steps.items()},
        max(0, min(8, (machine.cores - 1) if few == 1 else machine.cores)),
        machine.has_bf16,
        fitting < 1,
    )


def activation_bytes(work: Workload, *, has_bf16: bool) -> int:
    """About how many bytes one panorama needs for the backward pass.

    Args:
        work: What is trained.
        has_bf16: Whether activations have 16 bits.
    """
    length = work.image_tokens + work.text_tokens * min(work.questions, MOST_QUESTIONS)
    layers = length * work.layers * work.width * (_LAYER_BYTES // 2 if has_bf16 else _LAYER_BYTES)
    return layers + length * work.vocabulary * 4 * _LOGITS
