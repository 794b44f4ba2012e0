"""panollava-losses against the paper's formula, its Gram form under autograd, and lightly, in one run."""

import functools
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from panollava_losses import (
    OverlapVICRegLoss,
    column_correspondences,
    group_correspondences,
    info_nce,
    vicreg,
)
from torch import Tensor
from torch.nn import functional

from tools.bench.harness import (
    ASSETS,
    compare,
    compare_quiet_and_busy,
    load,
    milliseconds,
    peak_memory,
    table,
)

BATCH, VIEWS, GRID, OVERLAP, WIDTH = 4, 8, (16, 16), 0.5, 768
PAIRS, TOKENS = BATCH * VIEWS, GRID[0] * int(GRID[1] * OVERLAP)
Loss = Callable[[Tensor, Tensor], Tensor]


def paper_rows(z: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and covariance terms of `[..., rows, D]` with the D×D matrix (Bardes et al. 2022, equations 1 to 4)."""
    rows, width = z.shape[-2:]
    z = z - z.mean(dim=-2, keepdim=True)
    deviation = (z.var(dim=-2) + 1e-4).sqrt()
    covariance = z.mT @ z / (rows - 1)
    energy = covariance.square().sum(dim=(-2, -1)) - covariance.diagonal(dim1=-2, dim2=-1).square().sum(dim=-1)
    return torch.relu(1 - deviation).mean(), energy.mean() / width


def paper_pairwise(x: Tensor, y: Tensor) -> Tensor:
    """The paper's terms for every pair of token sets."""
    (spread_x, energy_x), (spread_y, energy_y) = paper_rows(x), paper_rows(y)
    return 25 * functional.mse_loss(x, y) + 25 * (spread_x + spread_y) / 2 + (energy_x + energy_y) / 2


def gram_pairwise(x: Tensor, y: Tensor) -> Tensor:
    """The same value through the L×L matrix, left to autograd."""
    total = 25 * functional.mse_loss(x, y)
    for z in (x, y):
        tokens, width = z.shape[-2:]
        z = z - z.mean(dim=-2, keepdim=True)
        variance = z.square().sum(dim=-2) / (tokens - 1)
        gram = z @ z.mT / (tokens - 1)
        energy = gram.square().sum(dim=(-2, -1)) - variance.square().sum(dim=-1)
        total = total + 25 * torch.relu(1 - (variance + 1e-4).sqrt()).mean() / 2 + energy.mean() / width / 2
    return total


def ours_pairwise(x: Tensor, y: Tensor) -> Tensor:
    """Ours, with the unbiased variance of the paper's code."""
    return vicreg(x, y, variance_correction=1).total


def paper_batchwise(x: Tensor, y: Tensor) -> Tensor:
    """The paper's terms over the rows of both sides of all pairs."""
    spread, energy = paper_rows(torch.cat([x, y]).flatten(0, 1))
    return 25 * functional.mse_loss(x, y) + 25 * spread + energy


def ours_batchwise(x: Tensor, y: Tensor) -> Tensor:
    """Ours over the rows of both sides of all pairs."""
    return vicreg(x, y, mode="batchwise", variance_correction=1).total


@functools.cache
def lightly_loss() -> type:
    """Lightly's VICRegLoss from its file alone, because its package loads torchvision, which the loss does not use."""
    package = importlib.util.find_spec("lightly")
    if package is None or package.origin is None:
        raise SystemExit("the losses section compares with lightly: pip install lightly")
    file = Path(package.origin).parent / "loss" / "vicreg_loss.py"
    spec = importlib.util.spec_from_file_location("lightly_vicreg_loss", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"no loss in lightly's {file.name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loss: type = module.VICRegLoss
    return loss


def lightly_pairwise(x: Tensor, y: Tensor) -> Tensor:
    """Lightly with the tokens as its batch: equal value, D×D per pair."""
    loss: Tensor = lightly_loss()(nu_param=0.5)(x.transpose(0, 1), y.transpose(0, 1))
    return loss


def lightly_flat(x: Tensor, y: Tensor) -> Tensor:
    """Lightly on flattened tokens: each side has its own statistics, another value at the same number of products."""
    loss: Tensor = lightly_loss()()(x.flatten(0, 1), y.flatten(0, 1))
    return loss


def lightly_batchwise(x: Tensor, y: Tensor) -> Tensor:
    """Lightly on both sides joined, twice: the value of batchwise statistics."""
    both, swapped = torch.cat([x, y]).flatten(0, 1), torch.cat([y, x]).flatten(0, 1)
    loss: Tensor = lightly_loss()(nu_param=0.5)(both, swapped)
    return loss


def sides(pairs: int, tokens: int, width: int) -> tuple[Tensor, Tensor]:
    """Two correlated sides."""
    torch.manual_seed(0)
    x = torch.randn(pairs, tokens, width)
    y = 0.6 * x + 0.5 * torch.randn(pairs, tokens, width)
    return x.requires_grad_(), y.requires_grad_()


def step(loss: Loss, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Forward and backward."""
    return torch.autograd.grad(loss(x, y), (x, y))


def prepared(loss: Loss, pairs: int, tokens: int, width: int) -> Callable[[], object]:
    """A step on fresh inputs, after a small one that loads the libraries' buffers."""
    step(loss, *sides(2, 8, 16))
    return functools.partial(step, loss, *sides(pairs, tokens, width))


def equal(*values: Tensor) -> None:
    """Candidates must compute the same value before they are timed."""
    for value in values[1:]:
        torch.testing.assert_close(value, values[0], rtol=2e-4, atol=1e-5)


def times_table(title: str, losses: dict[str, Loss], x: Tensor, y: Tensor) -> str:
    """Time of forward and backward of each loss, and its ratio to the last one, without and next to other work."""
    quiet, busy = compare_quiet_and_busy({name: functools.partial(step, loss, x, y) for name, loss in losses.items()})
    ours = list(losses)[-1]
    rows: list[list[object]] = [
        [
            name,
            milliseconds(quiet[name]),
            f"{quiet[name] / quiet[ours]:.1f}×",
            milliseconds(busy[name]),
            f"{busy[name] / busy[ours]:.1f}×",
        ]
        for name in losses
    ]
    return table([f"{title}, forward + backward", "median", "to ours", "2 spinning processes", "to ours"], rows)


def rows_of(times: dict[str, float], base: str) -> list[list[object]]:
    """Name, time, and its ratio to the time of `base`."""
    return [[name, milliseconds(value), f"{value / times[base]:.1f}×"] for name, value in times.items()]


def pairwise() -> str:
    """Forward and backward of the pairwise loss."""
    x, y = sides(PAIRS, TOKENS, WIDTH)
    losses = {
        "D×D, the paper's formula": paper_pairwise,
        "lightly, tokens as its batch": lightly_pairwise,
        "L×L under autograd": gram_pairwise,
        "**panollava-losses**": ours_pairwise,
    }
    equal(*(loss(x, y).detach() for loss in losses.values()))
    return times_table("pairwise", losses, x, y)


def batchwise() -> str:
    """Forward and backward of the batchwise loss."""
    x, y = sides(PAIRS, TOKENS, WIDTH)
    losses = {
        "D×D, the paper's formula": paper_batchwise,
        "lightly, both sides joined (equal value)": lightly_batchwise,
        "lightly, flattened tokens (other value, equal work)": lightly_flat,
        "**panollava-losses**": ours_batchwise,
    }
    equal(*(losses[name](x, y).detach() for name in losses if "other value" not in name))
    return times_table("batchwise", losses, x, y)


def random_correspondences() -> SimpleNamespace:
    """Fractional places and uneven pairs, as a sphere gives them: 60 % to 100 % of the fixed columns' tokens."""
    torch.manual_seed(0)
    counts = [round(TOKENS * (0.6 + 0.4 * v / (VIEWS - 1))) for v in range(VIEWS)]
    source = torch.repeat_interleave(torch.arange(VIEWS), torch.tensor(counts))
    n = len(source)
    return SimpleNamespace(
        source_view=source,
        target_view=(source + 1) % VIEWS,
        source_index=torch.randint(0, GRID[0] * GRID[1], (n,)),
        target_xy=torch.rand(n, 2) * GRID[1],
        weight=torch.rand(n) + 0.5,
    )


def overlap() -> str:
    """From features to their gradient, sampling included."""
    torch.manual_seed(0)
    features = torch.randn(BATCH, VIEWS, *GRID, WIDTH, requires_grad=True)
    columns = column_correspondences(VIEWS, GRID, OVERLAP)
    sphere = group_correspondences(random_correspondences(), VIEWS, GRID)
    loss = OverlapVICRegLoss(variance_correction=1)
    k = int(GRID[1] * OVERLAP)

    def sliced() -> Tensor:
        source = features[:, :, :, -k:].flatten(2, 3).flatten(0, 1)
        target = features[:, :, :, :k].roll(-1, dims=1).flatten(2, 3).flatten(0, 1)
        return paper_pairwise(source, target)

    work = {
        "slices and the D×D formula": sliced,
        "`OverlapVICRegLoss`, uneven bilinear pairs": lambda: loss(features, sphere).total,
        "**`OverlapVICRegLoss`, fixed columns**": lambda: loss(features, columns).total,
    }
    equal(sliced().detach(), loss(features, columns).total.detach())
    times = compare({name: lambda f=f: torch.autograd.grad(f(), features) for name, f in work.items()})
    return table(["from features to their gradient", "median", "to columns"], rows_of(times, list(work)[-1]))


def memory() -> str:
    """Peak resident memory above the inputs; the median of three processes, because allocators vary."""
    shape = (PAIRS, TOKENS, WIDTH)
    rows: list[list[object]] = []
    for title, theirs, ours in (
        ("pairwise, D×D formula", paper_pairwise, ours_pairwise),
        ("batchwise, lightly (both sides joined)", lightly_batchwise, ours_batchwise),
        ("InfoNCE in each pair, whole matrix", cross_entropy_pair, infonce_pair),
        ("InfoNCE over all pairs, whole matrix", cross_entropy_batch, infonce_batch),
    ):
        them, us = (
            statistics.median(peak_memory(functools.partial(prepared, loss, *shape))[1] for _ in range(3))
            for loss in (theirs, ours)
        )
        rows.append([title, f"{them / 2**20:.0f} MiB", f"{us / 2**20:.0f} MiB", f"1/{them / us:.1f}"])
    return table(["peak extra memory, forward + backward", "theirs", "ours", "ratio"], rows)


def cross_entropy_pair(x: Tensor, y: Tensor) -> Tensor:
    """InfoNCE of each pair in plain operations."""
    q, k = (functional.normalize(z, dim=-1) for z in (x, y))
    s, target = q @ k.mT / 0.2, torch.arange(q.shape[1]).repeat(q.shape[0])
    return sum(functional.cross_entropy(z.flatten(0, 1), target) for z in (s, s.mT)) / 2


def cross_entropy_batch(x: Tensor, y: Tensor) -> Tensor:
    """InfoNCE over all pairs in plain operations."""
    q, k = (functional.normalize(z.flatten(0, 1), dim=-1) for z in (x, y))
    s, target = q @ k.T / 0.2, torch.arange(len(q))
    return (functional.cross_entropy(s, target) + functional.cross_entropy(s.T, target)) / 2


def infonce_pair(x: Tensor, y: Tensor) -> Tensor:
    """Ours, with the candidates of a pair."""
    return info_nce(x, y)


def infonce_batch(x: Tensor, y: Tensor) -> Tensor:
    """Ours, with the candidates of all pairs."""
    return info_nce(x, y, negatives="batch")


def contrast() -> str:
    """Forward and backward of InfoNCE in each pair and over all pairs."""
    x, y = sides(PAIRS, TOKENS, WIDTH)
    parts = []
    for title, plain, ours in (
        ("InfoNCE in each pair", cross_entropy_pair, infonce_pair),
        ("InfoNCE over all pairs", cross_entropy_batch, infonce_batch),
    ):
        losses = {"whole matrix, `cross_entropy`": plain, "**panollava-losses**": ours}
        equal(*(loss(x, y).detach() for loss in losses.values()))
        parts.append(times_table(title, losses, x, y))
    return "\n\n".join(parts)


def growth() -> str:
    """Time against D and against L: a figure, and a table with the ratio to the better formula."""
    from matplotlib import pyplot

    losses = {"D×D formula": paper_pairwise, "L×L under autograd": gram_pairwise, "panollava-losses": ours_pairwise}
    sweeps = {
        "features D, at L = 128, 4 pairs": ((4, 128, d) for d in (256, 512, 1024, 2048, 4096)),
        "tokens L, at D = 768, 4 pairs": ((4, n, 768) for n in (32, 64, 128, 256, 512, 1024)),
    }
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    rows: list[list[object]] = []
    for axis, (title, shapes) in zip(axes, sweeps.items(), strict=True):
        points: list[tuple[int, dict[str, float]]] = []
        for shape in shapes:
            x, y = sides(*shape)
            times = compare(
                {name: functools.partial(step, loss, x, y) for name, loss in losses.items()}, rounds=7, seconds=12.0
            )
            points.append((shape[2] if "D," in title else shape[1], times))
            best = min(times["D×D formula"], times["L×L under autograd"])
            rows.append(
                [f"L={shape[1]}, D={shape[2]}"]
                + [milliseconds(t) for t in times.values()]
                + [f"{best / times['panollava-losses']:.1f}×"]
            )
        for name, style in zip(losses, ("s--", "o--", "D-"), strict=True):
            axis.loglog([size for size, _ in points], [t[name] * 1e3 for _, t in points], style, label=name)
        axis.set(xlabel=title, xticks=[size for size, _ in points], xticklabels=[str(size) for size, _ in points])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("forward + backward, ms")
    axes[0].legend()
    figure.tight_layout()
    ASSETS.mkdir(parents=True, exist_ok=True)
    figure.savefig(ASSETS / "losses-growth.png", dpi=110)
    pyplot.close(figure)
    header = ["4 pairs", *losses, "to the better formula"]
    return f"![Time against D and L](assets/losses-growth.png)\n\n{table(header, rows)}"


def import_time() -> str:
    """Milliseconds that `import panollava_losses` adds to `import torch`, with compiled bytecode; median of nine."""
    code = (
        "import torch, time; begin = time.perf_counter(); import panollava_losses; print(time.perf_counter() - begin)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": cache, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        runs = [
            float(
                subprocess.run(
                    [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
                ).stdout
            )
            for _ in range(8)
        ]
    first, *later = runs
    middle = sorted(later)[len(later) // 2]
    return table(
        ["`import panollava_losses` after `import torch`", "time"],
        [["first import (bytecode is compiled)", milliseconds(first)], ["later imports", milliseconds(middle)]],
    )


def run() -> str:
    """All tables of this section."""
    where = Path(__file__).name
    intro = (
        f"## Losses\n\nB = {BATCH}, V = {VIEWS}, {GRID[0]}×{GRID[1]} tokens, {OVERLAP:.0%} overlap, D = {WIDTH}, "
        f"float32: {PAIRS} pairs of {TOKENS} tokens. The D×D formula is the paper's, written in `tools/bench/{where}`; "
        "values are compared before anything is timed. Some tables repeat the measurement next to two spinning "
        f"processes, each of which uses a core.\n\n{load()}"
    )
    parts = [pairwise(), batchwise(), overlap(), contrast(), memory(), growth(), import_time()]
    return "\n\n".join([intro, *parts])
