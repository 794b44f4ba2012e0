"""Compiles every loss with `fullgraph=True` and compares value and gradient with the eager run; run by test_compiled.

A process of its own, because the compiler cannot trace through the annotation checker that pytest installs.
"""

import itertools
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from panollava_losses import (
    OverlapInfoNCELoss,
    OverlapVICRegLoss,
    VICRegLoss,
    column_correspondences,
    group_correspondences,
    info_nce,
    vicreg,
)


def compare(name, function, *inputs):
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for _ in range(2):  # the second call has other sizes where the case allows it
        eager = function(*inputs)
        traced = compiled(*inputs)
        torch.testing.assert_close(traced, eager, rtol=1e-5, atol=1e-6)
        wanted = [t for t in inputs if t.requires_grad]
        torch.testing.assert_close(
            torch.autograd.grad(traced, wanted), torch.autograd.grad(eager, wanted), rtol=1e-4, atol=1e-6
        )
        inputs = [torch.cat([t, t.flip(0)]).detach().requires_grad_() for t in inputs]
    torch._dynamo.reset()
    print("ok", name, flush=True)


def random_correspondences(views, rows, columns, n):
    source = torch.randint(0, views, (n,))
    return SimpleNamespace(
        source_view=source,
        target_view=(source + 1) % views,
        source_index=torch.randint(0, rows * columns, (n,)),
        target_xy=torch.rand(n, 2) * torch.tensor([columns, rows]),
        weight=torch.rand(n),
    )


def cases():
    """Name → function and inputs; the first ones are the quick ones."""
    features = torch.randn(2, 4, 5, 6, 7, requires_grad=True)
    columns = column_correspondences(4, (5, 6), 0.5)
    ragged = group_correspondences(random_correspondences(4, 5, 6, 60), 4, (5, 6))
    sides = [torch.randn(2, 5, 8, requires_grad=True) for _ in "xy"]
    long_sides = [torch.randn(2, 30, 8, requires_grad=True) for _ in "xy"]
    weight = torch.rand(4, 5) + 0.1
    module, pairwise, batchwise = VICRegLoss(), OverlapVICRegLoss(), OverlapVICRegLoss(mode="batchwise")
    contrast = OverlapInfoNCELoss(negatives="batch")
    yield "overlap pairwise", lambda f: pairwise(f, ragged).total, features
    yield "vicreg batchwise", lambda x, y: vicreg(x, y, mode="batchwise", weight=weight[: len(x)]).total, *sides
    yield "overlap info_nce", lambda f: contrast(f, ragged), features
    yield "overlap batchwise", lambda f: batchwise(f, ragged).total, features
    yield "overlap columns", lambda f: pairwise(f, columns).total, features
    yield "vicreg gram", lambda x, y: vicreg(x, y).total, *sides
    yield "vicreg covariance", lambda x, y: vicreg(x, y).total, *long_sides
    yield "vicreg weighted", lambda x, y: vicreg(x, y, weight=weight[: len(x)]).total, *sides
    yield "vicreg batchwise plain", lambda x, y: vicreg(x, y, mode="batchwise").total, *long_sides
    yield "info_nce pair", lambda x, y: info_nce(x, y), *sides
    yield "module", lambda x, y: module(x, y).total, *sides


def flat_correspondences():
    """Without a plan: a graph break and the eager result; with `fullgraph=True` an error that names the plan."""
    features = torch.randn(2, 4, 5, 6, 7, requires_grad=True)
    loss, flat = OverlapVICRegLoss(), random_correspondences(4, 5, 6, 60)
    broken = torch.compile(loss, backend="aot_eager")
    torch.testing.assert_close(broken(features, flat), loss(features, flat))
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="group_correspondences"):
        torch.compile(OverlapVICRegLoss(), fullgraph=True, backend="aot_eager")(features, flat)
    torch._dynamo.reset()
    print("ok without a plan", flush=True)


def main(first):
    torch.manual_seed(0)
    warnings.simplefilter("ignore", FutureWarning)
    for name, function, *inputs in itertools.islice(cases(), first):
        compare(name, function, *inputs)
    flat_correspondences()
    print("done", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
