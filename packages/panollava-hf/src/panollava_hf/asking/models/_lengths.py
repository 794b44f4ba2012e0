"""Lengths in tokens: what a model reads, what is left for an answer, and where an answer ends."""

from collections.abc import Sequence
from typing import Any

from panollava_hf._errors import TextError


def max_positions(config: Any) -> int | None:
    """How many tokens a language model reads; None if its positions have no end.

    Args:
        config: The config of the model or of its language model.
    """
    config = config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int):
        return None
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind, factor = rope.get("rope_type", rope.get("type")), rope.get("factor")
    # These stretch the positions that are stored; the others store the stretched number.
    if kind in ("linear", "dynamic", "yarn") and isinstance(factor, (int, float)) and factor > 1:
        stretched = rope.get("original_max_position_embeddings") in (None, positions)
        return int(positions * factor) if stretched else positions
    return positions


def new_tokens(config: Any, prompt: int, wanted: int) -> int:
    """How many tokens can be generated after a prompt: as many as wanted, or as the positions leave.

    Args:
        config: The config of the model.
        prompt: Length of the prompt in tokens, with those of its panorama.
        wanted: Largest number of new tokens.

    Raises:
        TextError: The positions leave no room for an answer.
    """
    positions = max_positions(config)
    if positions is None:
        return wanted
    if prompt >= positions:
        raise TextError(
            f"the question is too long: {prompt} tokens, this model reads {positions} (with those of the panorama); "
            "shorten the question"
        )
    return min(wanted, positions - prompt)


def answer_length(ids: Sequence[int], ends: int | list[int] | None) -> int:
    """Number of generated tokens: up to and with the first token that ends an answer.

    Args:
        ids: The generated tokens, with padding after the end.
        ends: The tokens that end an answer, as in the generation config.

    Example:
        >>> answer_length([5, 6, 2, 0, 0], 2), answer_length([5, 6], [1, 2]), answer_length([5, 6], None)
        (3, 2, 2)
    """
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
    return next((place + 1 for place, token in enumerate(ids) if token in ends), len(ids))
