"""What the tests of all resamplers share, and a resampler that is not part of the package."""

from dataclasses import dataclass

import pytest
import torch
from panollava_core import RESAMPLERS, Resampler, ResamplerOptions, build_resampler, register_resampler
from panollava_core.resamplers import CheckpointedLayer
from torch import nn

GRID = (4, 6)


@dataclass(frozen=True, kw_only=True)
class TokenLearnerOptions(ResamplerOptions):
    temperature: float | int = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")


class TokenLearner(Resampler):
    """Each latent is an average of the tokens with weights from a Linear (Ryoo et al. 2021, arXiv:2106.11297)."""

    options_class = TokenLearnerOptions
    is_spatial = False

    def __init__(self, **options):
        super().__init__(**options)
        count, width = self.options.num_latent_tokens or 64, self.options.hidden_dim or self.options.input_dim
        self.blocks = nn.ModuleList(TokenMLP(self.options.input_dim, width) for _ in range(self.options.num_layers))
        self.score = nn.Linear(self.options.input_dim, count, bias=False)
        self.proj = nn.Linear(self.options.input_dim, self.options.latent_dimension)

    def forward(self, tokens, *, grid=None):
        for block in self.blocks:
            tokens = block(tokens)
        weights = (self.score(tokens) / self.options.temperature).softmax(dim=1)
        return self.proj(weights.mT @ tokens)


class TokenMLP(CheckpointedLayer):
    def __init__(self, outer, inner):
        super().__init__()
        self.up, self.down = nn.Linear(outer, inner), nn.Linear(inner, outer)

    def compute(self, tokens):
        return tokens + self.down(self.up(tokens).relu())


@pytest.fixture
def token_learner():
    """Registered for the duration of one test."""
    yield register_resampler("token_learner")(TokenLearner)
    del RESAMPLERS["token_learner"]


@pytest.fixture(params=[*sorted(RESAMPLERS.keys() - {"none"}), "token_learner"])
def kind(request):
    """Every resampler of the package that has weights, and the one from outside."""
    if request.param == "token_learner":
        request.getfixturevalue("token_learner")
    return request.param


@pytest.fixture
def config_of():
    def config(kind, **changes):
        base = {"type": kind, "input_dim": 24, "latent_dimension": 10, "num_latent_tokens": 6, "hidden_dim": 16}
        return {**base, "num_layers": 2, **changes}

    return config


@pytest.fixture
def build(config_of):
    """Builds a resampler in float64 with random parameters, to be compared with its formula."""

    def make(kind, **changes):
        resampler = build_resampler(config_of(kind, **changes)).double()
        with torch.no_grad():
            for parameter in resampler.parameters():
                parameter.normal_(std=0.4)
        return resampler

    return make


@pytest.fixture
def tokens():
    def make(views=3, dtype=torch.float32, grid=GRID):
        return torch.randn(views, grid[0] * grid[1], 24, dtype=dtype)

    return make


@pytest.fixture
def exact():
    """Asserts that tensors are equal to float64 precision."""

    def check(found, expected):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)

    return check
