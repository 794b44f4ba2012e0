"""Several questions about one panorama in one sequence, with the result that each would have alone.

The vision tokens come before every question and are the same for all, so the sequence has them once. After this shared
prefix each question attends only to the prefix and to itself, at the positions that it would have alone. This is the
mask of prefix sharing in serving (e.g. Juravsky et al. 2024, https://arxiv.org/abs/2402.05099), used for training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

IGNORE = -100


@dataclass(frozen=True)
class Turn:
    """A question and its answer in tokens: the prompt, and the answer that is trained."""

    prompt: Sequence[int]
    answer: Sequence[int]


@dataclass(frozen=True)
class Packed:
    """A sequence of turns.

    Attributes:
        input_ids: `[length]`.
        labels: `[length]`, `IGNORE` except for answers.
        position_ids: `[length]`; every turn continues from the end of the prefix.
        segments: `[length]`; 0 for the prefix, k for the k-th turn.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    segments: Tensor


def shared_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Number of leading tokens that all sequences share; at least one token of each is excluded."""
    shortest = min(len(sequence) for sequence in sequences) - 1
    first = sequences[0]
    for place in range(shortest):
        if any(sequence[place] != first[place] for sequence in sequences):
            return place
    return shortest


def pack(turns: Sequence[Turn]) -> Packed:
    """Pack turns about the same panorama.

    Example:
        >>> packed = pack([Turn([1, 9, 9, 2], [5]), Turn([1, 9, 9, 3, 4], [6])])
        >>> packed.input_ids.tolist(), packed.position_ids.tolist()
        ([1, 9, 9, 2, 5, 3, 4, 6], [0, 1, 2, 3, 4, 3, 4, 5])
        >>> packed.segments.tolist()
        [0, 0, 0, 1, 1, 2, 2, 2]
    """
    start = shared_prefix([turn.prompt for turn in turns])
    ids = list(turns[0].prompt[:start])
    labels = [IGNORE] * start
    positions = list(range(start))
    segments = [0] * start
    for number, turn in enumerate(turns, 1):
        rest = list(turn.prompt[start:])
        ids += [*rest, *turn.answer]
        labels += [IGNORE] * len(rest) + list(turn.answer)
        length = len(rest) + len(turn.answer)
        positions += range(start, start + length)
        segments += [number] * length
    return Packed(*(torch.tensor(values) for values in (ids, labels, positions, segments)))


def pad(packed: Sequence[Packed], pad_token_id: int) -> dict[str, Tensor]:
    """Stack sequences, padded on the right; the padding has segment -1."""
    length = max(len(one.input_ids) for one in packed)
    fill = {"input_ids": pad_token_id, "labels": IGNORE, "position_ids": 0, "segments": -1}

    def stacked(name: str) -> Tensor:
        rows = [getattr(one, name) for one in packed]
        return torch.stack([torch.nn.functional.pad(row, (0, length - len(row)), value=fill[name]) for row in rows])

    return {name: stacked(name) for name in fill}


def attention_mask_of(segments: Tensor) -> Tensor:
    """Attention mask `[batch, 1, length, length]` from segments `[batch, length]`, True where a token may attend.

    A token attends to the prefix and to its own segment, up to itself. Padding attends to itself, because an empty row
    of the mask gives NaN.
    """
    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]
    prefix = (segments == 0)[:, None, :]
    before = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return ((same | prefix) & before)[:, None]
