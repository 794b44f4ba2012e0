"""`spatial_pool` against its formula."""

import torch
from torch.nn.functional import linear


def test_average_then_mlp(build, tokens, exact):
    resampler, views = build("spatial_pool"), tokens(dtype=torch.float64)
    pooled = views.view(3, 2, 2, 3, 2, 24).mean(dim=(2, 4)).flatten(1, 2)
    state = resampler.state_dict()
    hidden = linear(pooled, state["mlp.0.weight"], state["mlp.0.bias"])
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
    exact(resampler(views, grid=(4, 6)), linear(hidden, state["mlp.2.weight"], state["mlp.2.bias"]))
