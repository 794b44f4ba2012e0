"""What a stage will do, said before its first step: what is trained, how much each panorama costs, memory."""

import sys
from collections.abc import Iterator
from heapq import nlargest
from typing import Any

from torch import nn

from panollava_hf._image_tokens import fewer_image_tokens, image_tokens
from panollava_hf._lora import trainable_report
from panollava_hf._shown import counted
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.data._examples import Examples
from panollava_hf.training._collator import AnswerCollator

#: Most rows that are tokenised to find the longest one: those with the most bytes.
_MOST_ROWS = 500
#: Bytes of a trained parameter besides its weight, in float32: gradient, and the two moments of AdamW (Muon: one).
_TRAINED_BYTES = {"adamw": 12, "muon": 8}
#: With more image tokens than this, ways to have fewer are named.
_MANY_TOKENS = 256
#: Names of parts in words.
_WORDS = {"vision_backbone": "vision tower", "lm_head": "output head", "vicreg_projector": "VICReg projector"}


def stage_summary(
    model: nn.Module, config: PanoLLaVaConfig, rows: int, panoramas: int, steps: int, per_step: int, optimizer: str
) -> Iterator[str]:
    """Lines about a stage: its data and steps, the trained parameters by part, image tokens, and memory.

    Args:
        model: The model, with the parameters to train requiring gradients.
        config: Its config.
        rows: Rows of the table that can be used.
        panoramas: Panoramas that they are about.
        steps: Optimizer steps.
        per_step: Panoramas per step, of all processes.
        optimizer: `adamw` or `muon`.
    """
    seen = steps * per_step / max(panoramas, 1)
    yield (
        f"{counted(rows, 'row')} about {counted(panoramas, 'panorama')}; {counted(steps, 'step')} of "
        f"{counted(per_step, 'panorama')}, each is seen {seen:.3g} times"
    )
    trained = trained_parameters(model)
    total = sum(parameter.numel() for parameter in model.parameters())
    parts = ", ".join(f"{_WORDS.get(part, part.replace('_', ' '))} {count:,}" for part, count in trained.items())
    yield f"trains {sum(trained.values()):,} of {total:,} parameters: {parts}"
    advice = f" ({fewer_image_tokens(config)})" if config.num_image_tokens() > _MANY_TOKENS else ""
    yield image_tokens(config) + advice
    stored = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    more = sum(trained.values()) * _TRAINED_BYTES[optimizer]
    yield f"memory: {_gigabytes(stored + more)} for weights, gradients and optimizer, besides the activations of a step"


def trained_parameters(model: nn.Module) -> dict[str, int]:
    """Number of trained parameters of each part; those of adapters are the language model's, named "LoRA"."""
    found = {part: trained for part, (trained, _) in trainable_report(model).items()}
    adapters = sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and ".lora_" in name)
    if adapters and "language_model" in found:
        found = {
            ("language model (LoRA)" if part == "language_model" and count == adapters else part): count
            for part, count in found.items()
        }
    return found


def longest_row(examples: Examples, collator: AnswerCollator) -> tuple[int, str]:
    """The tokens of the longest row, with its panorama, and where it is. Of many rows the longest texts are looked at.

    Args:
        examples: The table.
        collator: Makes tokens of its rows.
    """
    texts = zip(*(examples.cells(examples.columns[role]) for role in ("question", "answer")), strict=True)
    longest = nlargest(_MOST_ROWS, enumerate(texts), key=lambda row: sum(len(text.encode()) for text in row[1]))
    length, index = max((collator.length(*pair), -index) for index, pair in longest)
    return length, examples.rows.place(examples.row(-index))


def measured(seconds: float, steps: int) -> str:
    """What the first steps say about the whole stage: its time, and the memory so far.

    Args:
        seconds: Seconds per step.
        steps: Steps that are left.
    """
    rate = f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"
    return f"about {duration(seconds * steps)} for the other {steps:,} steps ({rate} each); {_peak_memory()}"


def duration(seconds: float) -> str:
    """A time in words.

    Example:
        >>> duration(42), duration(600), duration(9000), duration(400_000)
        ('42 s', '10 min', '2.5 h', '4.6 days')
    """
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{1 if name == 'h' else 0}f} {name}"
    return f"{seconds / 86400:.1f} days"


def _peak_memory() -> str:
    import torch

    device: Any = torch.accelerator.current_accelerator(check_available=True)
    if device is not None and device.type == "cuda":
        return f"at most {_gigabytes(torch.cuda.max_memory_allocated())} of the GPU's memory so far"
    try:
        import resource
    except ImportError:  # Windows
        return "memory is not measured on this system"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"at most {_gigabytes(peak)} of memory so far"


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
