"""From a config to a resampler, and what a config says about its tokens without one."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from panollava_core.resamplers._base import RESAMPLERS, Grid, Resampler, valid_keys


def build_resampler(config: Mapping[str, Any]) -> Resampler:
    """Build a resampler from its config.

    Args:
        config: `type` (a key of `RESAMPLERS`), `input_dim`, `latent_dimension`, and whatever else that type takes;
            all know `num_latent_tokens` (None keeps a token per cell where the type can), `hidden_dim`, `num_layers`.

    Returns:
        A module `[N, S, D_in]` to `[N, N_lat, D_latent]`; its `config` holds every key and builds its equal.

    Raises:
        ValueError: an unknown type or key, or a required key is missing.

    Example:
        >>> import torch
        >>> resampler = build_resampler({"type": "mlp", "input_dim": 48, "latent_dimension": 40, "hidden_dim": 56})
        >>> resampler(torch.zeros(6, 64, 48)).shape
        torch.Size([6, 64, 40])
    """
    resampler, values = _complete(config)
    return resampler(**values)


def resampler_output_grid(config: Mapping[str, Any], input_grid: Grid) -> Grid:
    """The grid of latent tokens that a view of `input_grid` becomes, from a resampler's config alone."""
    resampler, values = _complete(config)
    return resampler.grid_of(values, input_grid)


def resampler_is_spatial(config: Mapping[str, Any]) -> bool:
    """Whether output token (r, c) looks at cell (r, c) of the view, from a resampler's config alone."""
    return _complete(config)[0].is_spatial


def convert_original_resampler(kind: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An original checkpoint's resampler tensors (keys without `model.resampler.`) under this library's names.

    Args:
        kind: the resampler's `type`. A `qformer` was made with `causal=True`, heads 8 and width D_in.
        state: tensors by name.

    Raises:
        ValueError: an unknown type.
    """
    if kind not in RESAMPLERS:
        raise ValueError(f"unknown resampler type {kind!r}; expected one of {', '.join(sorted(RESAMPLERS))}")
    return RESAMPLERS[kind].convert_original(state)


def _complete(config: Mapping[str, Any]) -> tuple[type[Resampler], dict[str, Any]]:
    """The class of a config, and its keys with the defaults filled in."""
    kind = config.get("type")
    if kind not in RESAMPLERS:
        raise ValueError(f"unknown resampler type {kind!r}; expected one of {', '.join(sorted(RESAMPLERS))}")
    resampler = RESAMPLERS[kind]
    known = valid_keys(resampler)
    given = {key: value for key, value in config.items() if key != "type"}
    if unknown := sorted(given.keys() - known.keys()):
        raise ValueError(f"a {kind} resampler knows no {', '.join(unknown)}; its keys are {', '.join(known)}")
    if missing := [k for k, p in known.items() if p.default is inspect.Parameter.empty and k not in given]:
        raise ValueError(f"a {kind} resampler needs {', '.join(missing)}")
    defaults = {k: p.default for k, p in known.items() if p.default is not inspect.Parameter.empty}
    return resampler, {**defaults, **given}
