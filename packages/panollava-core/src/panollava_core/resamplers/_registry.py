"""Resamplers by name: registering a class, and building a resampler from a config."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from panollava_core.resamplers._base import Resampler
from panollava_core.resamplers._grids import Grid

#: Every registered resampler by its config `type`.
RESAMPLERS: dict[str, type[Resampler]] = {}

ResamplerClass = TypeVar("ResamplerClass", bound=type[Resampler])


def register_resampler(name: str) -> Callable[[ResamplerClass], ResamplerClass]:
    """Register a subclass of `Resampler` under a name (a class decorator). Packages outside PanoLLaVA use it too.

    Args:
        name: the config `type` that `build_resampler` and `PanoLLaVaConfig(resampler_type=…)` then accept.

    Raises:
        ValueError: another class has that name.
        TypeError: the class is not a `Resampler`, or its `options_class` is not a dataclass.

    Example:
        >>> from panollava_core import RESAMPLERS, Resampler, build_resampler, register_resampler
        >>> import torch
        >>> @register_resampler("linear")
        ... class LinearResampler(Resampler):
        ...     keeps_tokens = True
        ...
        ...     def __init__(self, **options):
        ...         super().__init__(**options)
        ...         self.proj = torch.nn.Linear(self.options.input_dim, self.options.latent_dimension)
        ...
        ...     def forward(self, tokens, *, grid=None):
        ...         return self.proj(tokens)
        >>> resampler = build_resampler({"type": "linear", "input_dim": 48, "latent_dimension": 40})
        >>> resampler(torch.zeros(6, 64, 48)).shape
        torch.Size([6, 64, 40])
        >>> _ = RESAMPLERS.pop("linear")
    """

    def register(resampler: ResamplerClass) -> ResamplerClass:
        if not (isinstance(resampler, type) and issubclass(resampler, Resampler)):
            raise TypeError(f"register_resampler expects a subclass of Resampler, got {resampler!r}")
        if "__dataclass_fields__" not in vars(resampler.options_class):
            raise TypeError(
                f"{resampler.options_class.__name__}, the options_class of {resampler.__name__}, is not a dataclass; "
                "decorate it with @dataclass(frozen=True, kw_only=True)"
            )
        found = RESAMPLERS.get(name)
        # The same class again is a module that is run twice (reloaded, or a notebook cell).
        if found is not None and _place(found) != _place(resampler):
            raise ValueError(f"the resampler type {name!r} is already registered by {_place(found)}; use another name")
        resampler.resampler_type = name
        RESAMPLERS[name] = resampler
        return resampler

    return register


def _place(resampler: type[Resampler]) -> str:
    return f"{resampler.__module__}.{resampler.__qualname__}"


def resampler_class(name: str) -> type[Resampler]:
    """Return the class registered under a name. Its attributes say what it does without building it.

    Raises:
        ValueError: no resampler has that name.

    Example:
        >>> from panollava_core import resampler_class
        >>> resampler_class("mlp").keeps_tokens, resampler_class("qformer").no_split_modules
        (True, ('QFormerResampler',))
    """
    if name not in RESAMPLERS:
        near = difflib.get_close_matches(str(name)[:100], RESAMPLERS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown resampler type {name!r}; expected one of {', '.join(sorted(RESAMPLERS))}{hint}")
    return RESAMPLERS[name]


def build_resampler(config: Mapping[str, Any]) -> Resampler:
    """Build a resampler from its config.

    Args:
        config: `type` (a key of `RESAMPLERS`), `input_dim`, `latent_dimension`, and any other option of that type. All
            types have `num_latent_tokens`, `hidden_dim` and `num_layers`, see `ResamplerOptions`.

    Returns:
        A module that maps `[N, S, D_in]` to `[N, N_lat, D_latent]`. Its `config` holds every option and builds an equal
        resampler.

    Raises:
        ValueError: the type is unknown, or an option is unknown, missing, or has an invalid value.

    Example:
        >>> import torch
        >>> from panollava_core import build_resampler
        >>> resampler = build_resampler({"type": "mlp", "input_dim": 48, "latent_dimension": 40, "hidden_dim": 56})
        >>> resampler(torch.zeros(6, 64, 48)).shape
        torch.Size([6, 64, 40])
    """
    resampler, options = _split(config)
    return resampler(**options)


def resampler_output_grid(config: Mapping[str, Any], input_grid: Grid) -> Grid:
    """Return the grid of latent tokens for a view whose tokens have `input_grid`, from the config alone.

    Raises:
        ValueError: as in `build_resampler`.

    Example:
        >>> from panollava_core import resampler_output_grid
        >>> config = {"type": "spatial_pool", "input_dim": 48, "latent_dimension": 40, "num_latent_tokens": 8}
        >>> resampler_output_grid(config, (8, 16))
        (2, 4)
    """
    resampler, options = _split(config)
    return resampler.grid_of(resampler.parse_options(options), input_grid)


def resampler_is_spatial(config: Mapping[str, Any]) -> bool:
    """Return whether latent token (r, c) describes cell (r, c) of the view, from the config alone.

    Raises:
        ValueError: as in `build_resampler`.
    """
    resampler, options = _split(config)
    resampler.parse_options(options)
    return resampler.is_spatial


def _split(config: Mapping[str, Any]) -> tuple[type[Resampler], dict[str, Any]]:
    """The class that a config names, and its options."""
    options = dict(config)
    if "type" not in options:
        raise ValueError(
            f"a resampler config needs a 'type', got {sorted(options)}; expected one of {', '.join(sorted(RESAMPLERS))}"
        )
    return resampler_class(options.pop("type")), options
