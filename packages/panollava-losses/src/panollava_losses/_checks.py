"""What the losses refuse, each with what came, what was expected and what to change."""

import torch
from torch import Tensor


def check_features(x: Tensor, y: Tensor) -> None:
    """Both sides are floating tensors of one shape, dtype and device, at least `[tokens, features]`."""
    for name, z in (("x", x), ("y", y)):
        if not z.is_floating_point():
            raise ValueError(f"{name} has dtype {z.dtype}, expected a floating dtype: convert the features first")
    if x.ndim < 2 or x.shape != y.shape:
        raise ValueError(
            f"x and y have shapes {tuple(x.shape)} and {tuple(y.shape)}, expected one shape [pairs, tokens, features]"
        )
    if x.dtype != y.dtype or x.device != y.device:
        raise ValueError(
            f"x is {x.dtype} on {x.device} and y is {y.dtype} on {y.device}: bring both to one dtype and device"
        )
    if x.shape[-2] < 2:
        raise ValueError(
            f"x has {x.shape[-2]} token per pair (shape {tuple(x.shape)}) and variances need at least 2: raise the "
            "overlap_ratio or the token grid; features without tokens, [N, D], are one pair of N tokens"
        )
    if x.numel() == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}: no pair or no feature is left to compare")


def check_weight(weight: Tensor, x: Tensor) -> None:
    """Weights are finite, not negative, and leave two tokens in every pair."""
    if weight.shape != x.shape[:-1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}, expected one weight per token: {tuple(x.shape[:-1])}"
        )
    if weight.device != x.device:
        raise ValueError(f"weight is on {weight.device} and x on {x.device}: move weight")
    if weight.requires_grad:
        raise ValueError("weight requires grad, but the loss has no gradient by it: pass weight.detach()")
    if torch.compiler.is_compiling() or weight.device.type == "meta":
        return  # looking at values would break the graph
    if not bool((weight.isfinite() & (weight >= 0)).all()):
        raise ValueError("weight holds negative or non-finite values: use weights >= 0, and 0 to mask a token")
    fewest = int((weight > 0).sum(dim=-1).min())
    if fewest < 2:
        raise ValueError(
            f"weight leaves a pair with {fewest} token and variances need at least 2: drop that pair, or raise the "
            "overlap_ratio or the token grid"
        )


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """An option is one of its values."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}")


def check_temperature(temperature: float) -> None:
    """Exponentials of similarities between −1/temperature and 1/temperature fit into float64."""
    if not 0.003 <= temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}, expected at least 0.003; usual values are 0.05 to 0.5")
