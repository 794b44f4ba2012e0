"""Shared layers: recomputation, attention and pooling against their formulas."""

import math

import pytest
import torch
from panollava_core.resamplers import CheckpointedLayer
from panollava_core.resamplers._layers import CheckpointedSequential, attend, pool_tokens


class Counting(CheckpointedLayer):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3))
        self.calls = 0

    def compute(self, hidden):
        self.calls += 1
        return (hidden * self.weight).exp()


@pytest.mark.parametrize(("enabled", "training", "calls"), [(False, True, 1), (True, True, 2), (True, False, 1)])
def test_a_layer_is_computed_again_in_the_backward_pass(enabled, training, calls):
    layer = Counting().train(training)
    layer.gradient_checkpointing = enabled
    hooks = []
    layer.register_forward_hook(lambda *_: hooks.append(1))
    layer(torch.randn(2, 3)).sum().backward()
    assert layer.calls == calls
    assert len(hooks) == 1
    assert layer.weight.grad.abs().sum() > 0


def test_nothing_is_recomputed_without_gradients():
    layer = Counting()
    layer.gradient_checkpointing = True
    layer._gradient_checkpointing_func = None  # would fail if it were called
    with torch.no_grad():
        layer(torch.randn(2, 3))
    assert layer.calls == 1


def test_a_model_may_set_its_own_function():
    """As transformers does: both attributes on every module that has the first."""
    layer, seen = CheckpointedSequential(torch.nn.Linear(3, 3), torch.nn.ReLU()), []

    def function(compute, *args):
        seen.append(args)
        return compute(*args)

    for module in layer.modules():
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing, module._gradient_checkpointing_func = True, function
    inputs = torch.randn(2, 3)
    torch.testing.assert_close(layer(inputs), layer[0](inputs).relu())
    assert seen == [(inputs,)]


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_the_formula(exact, causal):
    query, key, value = (torch.randn(2, count, 6, dtype=torch.float64) for count in (4, 4, 4))
    expected = torch.zeros(2, 4, 6, dtype=torch.float64)
    for head in (slice(0, 3), slice(3, 6)):
        for row in range(4):
            seen = row + 1 if causal else 4
            scores = (key[:, :seen, head] * query[:, row : row + 1, head]).sum(-1) / math.sqrt(3)
            expected[:, row, head] = (scores.softmax(-1)[..., None] * value[:, :seen, head]).sum(1)
    exact(attend(query, key, value, 2, causal=causal), expected)


def test_pooling_averages_the_cells_of_the_grid(exact):
    tokens = torch.randn(2, 5 * 7, 3, dtype=torch.float64)
    view, expected = tokens.view(2, 5, 7, 3), []
    for row in range(2):
        for column in range(3):
            rows = slice(row * 5 // 2, -(-(row + 1) * 5 // 2))
            columns = slice(column * 7 // 3, -(-(column + 1) * 7 // 3))
            expected.append(view[:, rows, columns].mean(dim=(1, 2)))
    exact(pool_tokens(tokens, (5, 7), (2, 3)), torch.stack(expected, dim=1))
    assert pool_tokens(tokens, (5, 7), (5, 7)) is tokens
