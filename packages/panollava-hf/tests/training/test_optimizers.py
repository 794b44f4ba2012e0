import copy

import pytest
import timm.optim
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from panollava_hf.training import _muon
from panollava_hf.training._optimizers import muon
from torch import nn


def test_matrices_move_by_orthogonal_steps():
    torch.manual_seed(0)
    layer = nn.Linear(32, 32, bias=False)
    before = layer.weight.detach().clone()
    optimizer = muon(layer, learning_rate=1e-2, weight_decay=0.0, beta2=0.98, decayed=["weight"])
    (layer(torch.randn(8, 32)) ** 2).sum().backward()
    optimizer.step()
    values = torch.linalg.svdvals(layer.weight.detach() - before)
    directions = values[values > 1e-2 * values[0]]
    assert len(directions) >= 8, "the gradient of eight rows has eight directions"
    assert directions[:8].max() / directions[:8].min() < 3, (
        "all with steps of similar size (Newton-Schulz is approximate)"
    )


def test_every_parameter_is_in_one_group(tiny_config):
    model = PanoLLaVaForConditionalGeneration(tiny_config())
    frozen = model.panollava.projector.linear.bias
    frozen.requires_grad_(False)
    decayed = [name for name, p in model.named_parameters() if p.ndim > 1]
    groups = muon(model, learning_rate=1e-3, weight_decay=0.1, beta2=0.98, decayed=decayed).param_groups
    placed = [id(p) for group in groups for p in group["params"]]
    assert len(placed) == len(set(placed))
    assert set(placed) == {id(p) for p in model.parameters() if p.requires_grad}
    tables = {id(p) for p in groups[1]["params"]}
    assert id(model.get_input_embeddings().weight) in tables
    assert id(model.lm_head.weight) in tables
    assert all(p.ndim >= 2 for p in groups[0]["params"])
    assert groups[2]["weight_decay"] == 0.0


@pytest.mark.parametrize("limit", [2**22, 100], ids=["together", "in parts"])
def test_matrices_updated_together_move_as_those_updated_alone(monkeypatch, limit):
    monkeypatch.setattr(_muon, "MAX_ELEMENTS", limit)
    torch.manual_seed(0)
    layers = [
        nn.Linear(8, 6),
        nn.Linear(6, 8),
        nn.Linear(8, 6),
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 6, 3),
        nn.Linear(2, 6),
    ]
    ours = nn.ModuleList(layers)
    theirs = copy.deepcopy(ours)
    frozen = [ours[0].weight, theirs[0].weight]
    options = {"lr": 0.02, "weight_decay": 0.1, "betas": (0.9, 0.98)}
    pairs = [(ours, _muon.BatchedMuon(ours.parameters(), **options))]
    pairs.append((theirs, timm.optim.Muon(theirs.parameters(), **options)))
    for step in range(4):
        gradients = [torch.randn_like(p) for p in ours.parameters()]
        for model, optimizer in pairs:
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.grad = gradient.clone()
            if step == 2:
                frozen[pairs.index((model, optimizer))].grad = None
            optimizer.step()
            assert [p.grad is None for p in model.parameters()].count(True) == (step == 2)
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-3, msg=name)  # the directions are in bfloat16
    assert pairs[0][1].state_dict()["state"].keys() == pairs[1][1].state_dict()["state"].keys()
