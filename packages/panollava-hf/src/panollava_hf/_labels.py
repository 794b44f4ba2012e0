"""Labels that are trained, and how many there are.

The model never trains placeholders, but `transformers.Trainer` counts the labels of all micro-batches of a step before
the model sees the first of them, and passes the number as `num_items_in_batch`. A single forward cannot know how many
placeholders were counted in the others, so the labels are masked where they are counted: in `Trainer` itself.
"""

import functools
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import torch
from torch import Tensor

#: Names of labels in a batch; with the second, position i holds the target of position i instead of i - 1.
LABELS, SHIFTED = "labels", "shift_labels"


def trained_labels(labels: Tensor, image_token_id: int, *, shifted: bool = False) -> Tensor:
    """Labels with -100 where nothing is trained: at placeholders, and at the first position, which nothing predicts."""
    untrained = labels == image_token_id
    if not shifted:
        untrained = untrained | (torch.arange(labels.shape[-1], device=labels.device) == 0)
    return labels.masked_fill(untrained, -100)


def trained_count(given: Tensor | int, labels: Tensor, trained: Tensor, *, shifted: bool = False) -> Tensor:
    """Number of labels that a sum of losses is divided by, corrected for placeholders that were counted.

    Args:
        given: `num_items_in_batch`: the number of labels in this batch, or in all batches of an optimizer step.
        labels: The labels as they came, `[batch, sequence]`.
        trained: `trained_labels` of them.
        shifted: Whether these are `shift_labels`.

    Returns:
        `given` if there are no placeholders among the labels, or if they were not counted. The number of trained labels
        if `given` is the number of all labels of this batch. Otherwise `given` times the trained share of this batch:
        the mean over several batches is exact if the share is the same in all of them.
    """
    every = (labels != -100).sum()
    predicted = every if shifted else (labels[..., 1:] != -100).sum()
    kept = (trained != -100).sum()
    given = torch.as_tensor(given, device=labels.device)
    share = torch.where(given == every, kept.float(), given * (kept / predicted.clamp_min(1)))
    return torch.where((kept == predicted) | (kept == 0) | (given < predicted), given.float(), share)


def mask_batches(batches: list[Any], mask: Callable[..., Tensor]) -> None:
    """Replace the labels of batches by those that are trained."""
    for batch in batches:
        for name in (LABELS, SHIFTED) if isinstance(batch, MutableMapping) else ():
            if isinstance(batch.get(name), Tensor):
                batch[name] = mask(batch[name], shifted=name == SHIFTED)


def count_trained_labels() -> None:
    """Make `Trainer` mask the labels of models that have `_trained_labels` before it counts them.

    `Trainer` has no setting for this, and a model is not asked. Other models are counted as before.
    """
    loaded = sys.modules.get("transformers.trainer")  # a Trainer that is being built has loaded it
    trainer = getattr(loaded, "Trainer", None)
    count = getattr(trainer, "_get_num_items_in_batch", None)
    if trainer is None or count is None or hasattr(count, "_masks_labels"):
        return

    @functools.wraps(count)
    def counted(self: Any, batch_samples: list[Any], *args: Any, **kwargs: Any) -> Any:
        mask = getattr(self.model, "_trained_labels", None)
        if mask is not None:
            mask_batches(batch_samples, mask)
        return count(self, batch_samples, *args, **kwargs)

    counted._masks_labels = True  # type: ignore[attr-defined]
    trainer._get_num_items_in_batch = counted


class AcceptsLossKwargs:
    """The attribute `accepts_loss_kwargs`: True. `Trainer` reads it when it is built, and its count is corrected then."""

    def __get__(self, instance: Any, owner: type) -> bool:
        if instance is not None:
            count_trained_labels()
        return True
