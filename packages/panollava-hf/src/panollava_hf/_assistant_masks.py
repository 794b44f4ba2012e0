"""Which tokens of a chat are the assistant's, also with expanded placeholders and escaped texts.

transformers computes these masks from the offsets of tokens. Some releases do not take into account that placeholders
were expanded, and a token of white space, whose offsets are empty, is missed. Here the spans of the rendered text are
moved to the expanded text, and the rule for empty tokens is exact.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import ProcessorMixin
from transformers.utils.chat_template_utils import render_jinja_template

__all__ = ["with_assistant_masks"]

#: The tag around the assistant's texts in a chat template.
GENERATION = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
_TAKES_PROCESSOR_KWARGS = "processor_kwargs" in signature(ProcessorMixin.apply_chat_template).parameters
_OF_THE_CALL = ("tokenize", "return_dict", "return_tensors", "processor_kwargs", "sanitize_control_tokens")


def with_assistant_masks(
    processor: Any, apply: Callable[..., Any], conversation: Any, template: str | None, options: Mapping[str, Any]
) -> Any:
    """What `apply_chat_template` returns, with `assistant_masks`: 1 for the assistant's texts and their ends.

    Args:
        processor: The processor.
        apply: `ProcessorMixin.apply_chat_template`, bound to the processor.
        conversation: One conversation or several, with escaped texts.
        template: The chat template, or the name of one; None takes the processor's.
        options: The other arguments, without `return_assistant_tokens_mask`.

    Raises:
        ValueError: The chat template does not mark the assistant's texts, the tokenizer has no offsets, or the final
            message is to be continued.
    """
    own = processor.chat_template
    found = own if template is None else template
    if isinstance(own, dict):
        found = own.get("default" if template is None else template, found)
    if not isinstance(found, str) or GENERATION.search(found) is None:
        raise ValueError(
            "the chat template does not mark the assistant's texts, so they cannot be masked; put them in "
            "{% generation %} … {% endgeneration %}, or leave return_assistant_tokens_mask out"
        )
    if not isinstance(getattr(processor.tokenizer, "backend_tokenizer", None), Tokenizer):
        raise ValueError("return_assistant_tokens_mask needs a fast tokenizer, of the tokenizers library")
    if options.get("continue_final_message"):
        raise ValueError("continue_final_message is not compatible with return_assistant_tokens_mask")
    rest = dict(options)
    if _TAKES_PROCESSOR_KWARGS:
        rest["processor_kwargs"] = {**(rest.get("processor_kwargs") or {}), "return_offsets_mapping": True}
    else:
        rest["return_offsets_mapping"] = True
    out = apply(conversation, template, **rest)
    several = isinstance(conversation, (list, tuple)) and not isinstance(conversation[0], Mapping)
    variables = {key: value for key, value in options.items() if key not in _OF_THE_CALL}
    prompts, spans = render_jinja_template(
        conversations=conversation if several else [conversation],
        chat_template=found,
        return_assistant_tokens_mask=True,
        **{**processor.tokenizer.special_tokens_map, **variables},
    )
    times = processor.num_image_tokens(out["pixel_values"].shape[1]) if "pixel_values" in out else 1
    masks = [
        _mask(_plain(offsets), _expanded(places, prompt, processor.image_token, times))
        for offsets, places, prompt in zip(out.pop("offset_mapping"), spans, prompts, strict=True)
    ]
    ids = out["input_ids"]
    if isinstance(ids, torch.Tensor):
        out["assistant_masks"] = torch.tensor(masks, dtype=ids.dtype)
    else:
        out["assistant_masks"] = np.array(masks) if isinstance(ids, np.ndarray) else masks
    return out


def _plain(offsets: Any) -> list[tuple[int, int]]:
    return offsets.tolist() if hasattr(offsets, "tolist") else list(offsets)


def _expanded(spans: Sequence[tuple[int, int]], prompt: str, image_token: str, times: int) -> list[tuple[int, int]]:
    """Spans of a prompt in the text whose placeholders are written several times."""
    ends = [match.end() for match in re.finditer(re.escape(image_token), prompt)]
    gain = len(image_token) * (times - 1)
    moved = [[place + gain * sum(end <= place for end in ends) for place in span] for span in spans]
    return [(start, end) for start, end in moved]


def _mask(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[int]:
    """1 for each token that overlaps a span.

    A token of white space may have empty offsets at its end. Padding and added tokens are at (0, 0).

    Example:
        >>> _mask([(0, 0), (0, 3), (3, 5), (6, 6), (6, 9)], [(3, 6)])
        [0, 0, 1, 1, 0]
    """
    mask = []
    for first, last in offsets:
        inside = any((first < end and last > start) if first < last else start < last <= end for start, end in spans)
        mask.append(int(inside))
    return mask
