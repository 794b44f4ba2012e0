"""One of the processes behind test_distributed: `distributed_cases.py RANK WORLD FOLDER`."""

import sys
from pathlib import Path

import torch
from panollava_losses import (
    OverlapInfoNCELoss,
    OverlapVICRegLoss,
    _similarity,
    column_correspondences,
    info_nce,
    vicreg,
)
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

FUNCTIONS = {
    "vicreg pairwise": lambda x, y, w, g: vicreg(x, y, weight=w, gather_distributed=g).total,
    "vicreg batchwise": lambda x, y, w, g: vicreg(x, y, mode="batchwise", weight=w, gather_distributed=g).total,
    "vicreg batchwise unbiased": lambda x, y, w, g: (
        vicreg(x, y, mode="batchwise", variance_correction=1, weight=w, gather_distributed=g).total
    ),
    "info_nce pair": lambda x, y, w, g: info_nce(x, y, weight=w, gather_distributed=g),
    "info_nce batch": lambda x, y, w, g: info_nce(
        x, y, negatives="batch", temperature=0.05, weight=w, gather_distributed=g
    ),
}
MODULES = {
    "pairwise": lambda g: OverlapVICRegLoss(gather_distributed=g),
    "batchwise": lambda g: OverlapVICRegLoss(mode="batchwise", gather_distributed=g),
    "info_nce": lambda g: OverlapInfoNCELoss(negatives="batch", gather_distributed=g),
}


def function_case(name, x, y, weight, gather):
    """Value and gradients by the inputs."""
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    loss = FUNCTIONS[name](x, y, weight, gather)
    return [loss.detach(), *torch.autograd.grad(loss, (x, y))]


def penalty_case(x, y, gather):
    """Derivative of the squared gradient of InfoNCE by `x`, a second derivative."""
    x = x.clone().requires_grad_()
    loss = info_nce(x, y, negatives="batch", gather_distributed=gather)
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    return torch.autograd.grad(gradient.square().sum(), x)[0]


def module_case(name, features, parallel):
    """Value and gradients by the parameters of a model in front."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(features.shape[-1], 12), nn.GELU(), nn.Linear(12, 10))
    wrapped = DistributedDataParallel(model) if parallel else model
    loss = MODULES[name](parallel)(wrapped(features), column_correspondences(4, features.shape[2:4], 0.5))
    total = getattr(loss, "total", loss)
    total.backward()
    return [total.detach(), *(p.grad for p in model.parameters())]


def main(rank, world, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=world)
    _similarity.BLOCK_BYTES, _similarity.BLOCK_ROWS = 1, 5  # several blocks in each rank
    inputs = torch.load(folder / f"inputs{rank}.pt")
    results = {}
    for name in FUNCTIONS:
        results[name] = function_case(name, inputs["x"], inputs["y"], None, True)
        results[f"{name}, weighted"] = function_case(name, inputs["x"], inputs["y"], inputs["weight"], True)
    for name in MODULES:
        results[name] = module_case(name, inputs["features"], True)
    results["penalty"] = penalty_case(inputs["x"], inputs["y"], True)
    second = "none"
    x = inputs["x"].clone().requires_grad_()
    total = FUNCTIONS["vicreg batchwise"](x, inputs["y"], None, True)
    try:
        torch.autograd.grad(total, x, create_graph=True)
    except NotImplementedError as error:
        second = str(error)
    results["second derivative"] = second
    torch.save(results, folder / f"results{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
