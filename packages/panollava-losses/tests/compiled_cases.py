"""Compiles every loss with `fullgraph=True` and compares value and gradient with the eager run; run by test_compiled.

A process of its own, because the compiler cannot trace through the annotation checker that pytest installs.
"""

import sys
import warnings
from types import SimpleNamespace

import torch
from panollava_losses import (
    OverlapVICRegLoss,
    VICRegLoss,
    column_correspondences,
    group_correspondences,
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


def main(names):
    torch.manual_seed(0)
    warnings.simplefilter("ignore", FutureWarning)
    cases = {}
    for mode in ("pairwise", "batchwise"):
        for tokens in (5, 30):
            x, y = (torch.randn(2, tokens, 8, requires_grad=True) for _ in "xy")
            cases[f"vicreg {mode} {tokens}"] = (lambda x, y, m=mode: vicreg(x, y, mode=m).total, x, y)
        weight = torch.rand(4, 5) + 0.1
        cases[f"vicreg {mode} weighted"] = (
            lambda x, y, m=mode, w=weight: vicreg(x, y, mode=m, weight=w[: len(x)]).total,
            *(torch.randn(2, 5, 8, requires_grad=True) for _ in "xy"),
        )
        features = torch.randn(2, 4, 5, 6, 7, requires_grad=True)
        columns = column_correspondences(4, (5, 6), 0.5)
        ragged = group_correspondences(random_correspondences(4, 5, 6, 60), 4, (5, 6))
        loss = OverlapVICRegLoss(mode=mode)
        cases[f"overlap {mode} columns"] = (lambda f, m=loss, c=columns: m(f, c).total, features)
        cases[f"overlap {mode} ragged"] = (lambda f, m=loss, c=ragged: m(f, c).total, features)
    module = VICRegLoss()
    cases["module"] = (lambda x, y: module(x, y).total, *(torch.randn(2, 5, 8, requires_grad=True) for _ in "xy"))
    for name, case in cases.items():
        if not names or name in names:
            compare(name, *case)
    print("done", len(cases), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
