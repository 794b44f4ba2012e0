"""The options of a resampler: a frozen dataclass that checks its own values."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeVar

#: Latent tokens per view if `num_latent_tokens` is None and the resampler does not keep the tokens of the view.
DEFAULT_LATENTS = 64


@dataclass(frozen=True, kw_only=True)
class ResamplerOptions:
    """Options that every resampler has.

    A resampler declares its own options, and its own defaults, in a subclass decorated with
    `@dataclass(frozen=True, kw_only=True)`. A subclass that checks more values extends `__post_init__`.

    Attributes:
        input_dim: D_in, the width of the vision tokens.
        latent_dimension: D_latent, the width of the latent tokens.
        num_latent_tokens: latent tokens per view. None means one per token of the view for resamplers with
            `keeps_tokens`, and 64 for the others.
        hidden_dim: width inside the resampler; None lets the resampler choose it.
        num_layers: number of layers or blocks.

    Raises:
        ValueError: a value is not a positive integer.
    """

    input_dim: int
    latent_dimension: int
    num_latent_tokens: int | None = None
    hidden_dim: int | None = None
    num_layers: int = 2

    def __post_init__(self) -> None:
        """Check the values; subclasses call `super().__post_init__()` first."""
        check_positive_integers(self, "input_dim", "latent_dimension", "num_layers")
        check_positive_integers(self, "num_latent_tokens", "hidden_dim", optional=True)


Options = TypeVar("Options", bound=ResamplerOptions)


def check_positive_integers(options: ResamplerOptions, *names: str, optional: bool = False) -> None:
    """Raise ValueError if one of the named options is not a positive integer (or None, if `optional`)."""
    for name in names:
        value = getattr(options, name)
        if (value is None and optional) or (isinstance(value, Integral) and int(value) >= 1):
            continue
        raise ValueError(f"{name} must be a positive integer{' or None' if optional else ''}, got {value!r}")


def check_positive_numbers(options: ResamplerOptions, *names: str) -> None:
    """Raise ValueError if one of the named options is not a positive number."""
    for name in names:
        value = getattr(options, name)
        if not (isinstance(value, Real) and float(value) > 0):
            raise ValueError(f"{name} must be a positive number, got {value!r}")


def check_heads(width: int, heads: int) -> None:
    """Raise ValueError if a width cannot be divided among the attention heads."""
    if width % heads:
        raise ValueError(f"num_heads={heads} does not divide the width {width}")


def parse_options(options_class: type[Options], given: Mapping[str, Any], kind: str) -> Options:
    """Make the options of a resampler from a mapping.

    Args:
        options_class: the resampler's dataclass.
        given: options by name.
        kind: the resampler's type, for messages.

    Raises:
        ValueError: an option is unknown, missing, or has an invalid value.
    """
    known = [field.name for field in fields(options_class)]
    if unknown := [name for name in given if name not in known]:
        near = get_close_matches(str(unknown[0])[:100], known, 1)
        raise ValueError(
            f"unknown option{'s' * (len(unknown) > 1)} {', '.join(map(repr, unknown))} for resampler {kind!r}; "
            f"valid options: {', '.join(known)}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    required = [f.name for f in fields(options_class) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [repr(name) for name in required if name not in given]:
        raise ValueError(
            f"missing option{'s' * (len(missing) > 1)} {', '.join(missing)} for resampler {kind!r}; "
            f"required options: {', '.join(required)}"
        )
    try:
        return options_class(**given)
    except ValueError as error:
        raise ValueError(f"invalid option for resampler {kind!r}: {error}") from error
