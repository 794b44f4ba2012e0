"""Options: what is accepted, and the messages for what is not."""

from dataclasses import dataclass

import numpy as np
import pytest
from panollava_core import ResamplerOptions, build_resampler
from panollava_core.resamplers._options import check_positive_numbers, parse_options


def test_unknown_option(kind, config_of):
    message = f"^unknown option 'depth' for resampler '{kind}'; valid options: input_dim, latent_dimension, num_latent_"
    with pytest.raises(ValueError, match=message):
        build_resampler({**config_of(kind), "depth": 3})


def test_unknown_option_lists_all_valid_ones():
    with pytest.raises(ValueError, match="unknown") as caught:
        build_resampler({"type": "qformer", "depth": 1, "heads": 2})
    assert str(caught.value) == (
        "unknown options 'depth', 'heads' for resampler 'qformer'; valid options: input_dim, latent_dimension, "
        "num_latent_tokens, hidden_dim, num_layers, num_heads, cross_attention_frequency, causal"
    )


def test_missing_option(kind, config_of):
    config = config_of(kind)
    del config["input_dim"]
    message = f"missing option 'input_dim' for resampler '{kind}'; required options: input_dim, latent_dimension"
    with pytest.raises(ValueError, match=message):
        build_resampler(config)


@pytest.mark.parametrize("name", ["input_dim", "latent_dimension", "num_latent_tokens", "hidden_dim", "num_layers"])
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_are_positive_integers(kind, config_of, name, value):
    message = f"invalid option for resampler '{kind}': {name} must be a positive integer( or None)?, got {value!r}"
    with pytest.raises(ValueError, match=message):
        build_resampler(config_of(kind, **{name: value}))


@pytest.mark.parametrize(
    ("kind", "option", "message"),
    [
        ("qformer", {"num_heads": 5}, "'qformer': num_heads=5 does not divide the width 16"),
        ("perceiver", {"num_heads": 5}, "'perceiver': num_heads=5 does not divide the width 16"),
        ("qformer", {"num_heads": 0}, "num_heads must be a positive integer, got 0"),
        ("qformer", {"cross_attention_frequency": 0}, "cross_attention_frequency must be a positive integer, got 0"),
        ("perceiver", {"mlp_ratio": 0}, "mlp_ratio must be a positive number, got 0"),
        ("bimamba", {"d_state": -1}, "d_state must be a positive integer, got -1"),
        ("bimamba", {"d_conv": 0}, "d_conv must be a positive integer, got 0"),
        ("bimamba", {"expand": -0.5}, r"expand must be a positive number, got -0\.5"),
    ],
)
def test_options_of_one_resampler(config_of, kind, option, message):
    with pytest.raises(ValueError, match=message):
        build_resampler(config_of(kind, **option))


@dataclass(frozen=True, kw_only=True)
class Unchecked(ResamplerOptions):
    """Its constructor is made here, where the shape checker does not see it and complain first."""

    scale: float | int = 1.0

    def __post_init__(self):
        super().__post_init__()
        check_positive_numbers(self, "scale")


@pytest.mark.parametrize("value", [2.5, "8", None, float("nan")])
def test_wrong_types(value):
    with pytest.raises(ValueError, match=f"num_layers must be a positive integer, got {value!r}"):
        Unchecked(input_dim=8, latent_dimension=6, num_layers=value)
    if value != 2.5:
        with pytest.raises(ValueError, match=f"scale must be a positive number, got {value!r}"):
            Unchecked(input_dim=8, latent_dimension=6, scale=value)


def test_integers_of_numpy_are_integers():
    assert Unchecked(input_dim=np.int64(8), latent_dimension=6, scale=np.float32(2)).input_dim == 8


def test_options_from_outside_are_checked(token_learner, config_of):
    with pytest.raises(ValueError, match="invalid option for resampler 'token_learner': temperature must be positive"):
        build_resampler(config_of("token_learner", temperature=0.0))


def test_parse_options_adds_defaults():
    @dataclass(frozen=True, kw_only=True)
    class Options(ResamplerOptions):
        num_layers: int = 4
        bias: bool = True

    found = parse_options(Options, {"input_dim": 8, "latent_dimension": 6, "bias": False}, "example")
    assert found == Options(input_dim=8, latent_dimension=6, bias=False)
    assert (found.num_latent_tokens, found.hidden_dim, found.num_layers) == (None, None, 4)
