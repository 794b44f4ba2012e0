"""The projector's layout is a checkpoint contract; its formula is written out with functional calls."""

import pytest
import torch
from panollava_losses import VICRegProjector
from torch.nn import functional


def test_layout_is_the_originals():
    keys = set(VICRegProjector(48, 40).state_dict())
    assert keys == {f"mlp.{i}.{name}" for i in (0, 1, 3) for name in ("weight", "bias")}
    deep = {key.rsplit(".", 1)[0] for key in VICRegProjector(48, 40, hidden_dim=56, depth=3).state_dict()}
    assert deep == {"mlp.0", "mlp.1", "mlp.3", "mlp.4", "mlp.6"}
    assert set(VICRegProjector(48, 40, depth=1).state_dict()) == {"mlp.0.weight", "mlp.0.bias"}
    plain = {key.rsplit(".", 1)[0] for key in VICRegProjector(48, 40, use_ln=False).state_dict()}
    assert plain == {"mlp.0", "mlp.3"}


def test_equals_the_formula():
    projector = VICRegProjector(6, 4, hidden_dim=5, depth=2).double()
    weights = projector.state_dict()
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    hidden = x @ weights["mlp.0.weight"].T + weights["mlp.0.bias"]
    centred = hidden - hidden.mean(-1, keepdim=True)
    hidden = centred / (hidden.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    hidden = functional.gelu(hidden * weights["mlp.1.weight"] + weights["mlp.1.bias"])
    torch.testing.assert_close(projector(x), hidden @ weights["mlp.3.weight"].T + weights["mlp.3.bias"])


@pytest.mark.parametrize("name", ["input_dim", "output_dim", "hidden_dim", "depth"])
def test_errors_name_the_parameter(name):
    sizes = {"input_dim": 4, "output_dim": 4, "hidden_dim": 4, "depth": 2, name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0"):
        VICRegProjector(**sizes)
