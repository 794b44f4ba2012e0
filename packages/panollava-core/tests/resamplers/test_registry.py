"""Registering a resampler from outside of the package, and what the registry refuses."""

import pytest
import torch
from panollava_core import (
    RESAMPLERS,
    Resampler,
    ResamplerOptions,
    build_resampler,
    register_resampler,
    resampler_class,
    resampler_is_spatial,
    resampler_output_grid,
)

TYPES = {"mlp", "qformer", "bimamba", "perceiver", "spatial_pool", "c_abstractor", "none"}


def test_types_of_the_package():
    assert set(RESAMPLERS) == TYPES
    assert {name: cls.resampler_type for name, cls in RESAMPLERS.items()} == {name: name for name in TYPES}
    assert {name for name, cls in RESAMPLERS.items() if cls.keeps_tokens} == {"mlp", "bimamba", "none"}
    assert {name for name, cls in RESAMPLERS.items() if not cls.is_spatial} == {"qformer", "perceiver"}


def test_a_resampler_from_outside_is_built_by_name(token_learner, config_of):
    config = config_of("token_learner", temperature=2.0)
    resampler = build_resampler(config)
    assert type(resampler) is token_learner is resampler_class("token_learner")
    assert resampler.config == config
    assert resampler_is_spatial(config) is False
    assert resampler_output_grid(config, (8, 8)) == (3, 2)
    assert resampler(torch.randn(2, 64, 24), grid=(8, 8)).shape == (2, 6, 10)


def test_unknown_type_lists_the_known_ones(token_learner):
    message = (
        "unknown resampler type 'transformer'; expected one of bimamba, c_abstractor, mlp, .*, token_learner; "
        r"did you mean 'qformer'\?$"
    )
    for call in (lambda: build_resampler({"type": "transformer"}), lambda: resampler_class("transformer")):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_config_has_a_type():
    message = r"a resampler config needs a 'type', got \['input_dim'\]; expected one of bimamba, c_abstractor, mlp"
    for call in (build_resampler, resampler_is_spatial, lambda config: resampler_output_grid(config, (8, 8))):
        with pytest.raises(ValueError, match=message):
            call({"input_dim": 8})


def test_a_name_is_used_once(token_learner):
    with pytest.raises(ValueError, match=r"'mlp' is already registered by panollava_core\.resamplers\.mlp\.MLPRes"):
        register_resampler("mlp")(token_learner)
    assert RESAMPLERS["mlp"].__name__ == "MLPResampler"
    assert token_learner.resampler_type == "token_learner"


def test_a_module_may_be_run_again(token_learner):
    again = type(token_learner.__name__, (token_learner,), {"__module__": token_learner.__module__})
    assert register_resampler("token_learner")(again) is again
    assert RESAMPLERS["token_learner"] is again


def test_only_resamplers_with_dataclass_options_are_registered():
    class Forgotten(ResamplerOptions):
        extra: int = 1

    class Forgetful(Resampler):
        options_class = Forgotten

    with pytest.raises(TypeError, match=r"Forgotten, the options_class of Forgetful, is not a dataclass; decorate it"):
        register_resampler("forgetful")(Forgetful)
    with pytest.raises(TypeError, match="Linear"):  # from the shape checker under test, which is the first to complain
        register_resampler("linear")(torch.nn.Linear)
    assert set(RESAMPLERS) == TYPES
