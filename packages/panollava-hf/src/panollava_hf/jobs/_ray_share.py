"""What each worker gets of a Ray cluster: never so much that nothing can be scheduled next to the workers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: CPUs per worker where no number of workers is asked for.
_CPUS_PER_WORKER = 4
#: The smallest share of a CPU. More workers than this allows would only use up the memory.
_SMALLEST = 1 / 16


@dataclass(frozen=True)
class Share:
    """Resources of the workers.

    Attributes:
        workers: Number of workers.
        cpus: CPUs that each one reserves.
        gpus: GPUs that each one reserves.
        threads: torch threads of each one.
        note: One line for the user.
    """

    workers: int
    cpus: float
    gpus: float
    threads: int
    note: str


def share_out(
    nodes: Sequence[Mapping[str, float]],
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    most: int | None = None,
) -> Share:
    """Share the CPUs and GPUs of a cluster between workers.

    A worker reserves one CPU, or a half, a quarter, … of one if there are not enough. One CPU always stays free (half
    of it where there is one only): Ray Data waits forever if its actors reserve all.

    Args:
        nodes: `CPU` and `GPU` of each machine.
        workers: Number of workers; None for one per GPU, or without GPUs one per four CPUs.
        gpus_per_worker: GPUs per worker, perhaps a fraction; None for one if the cluster has any.
        most: The number of workers that have something to do.

    Returns:
        The share of each worker. There are fewer workers than asked for if not all find a place.

    Example:
        >>> share_out([{"CPU": 2}], workers=2).cpus
        0.5
    """
    cpus, all_gpus = (sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU"))
    gpus = float(all_gpus >= 1) if gpus_per_worker is None else gpus_per_worker
    wanted = workers or (max(1, int(all_gpus / gpus)) if gpus > 0 else max(1, int(cpus // _CPUS_PER_WORKER)))
    wanted = min(wanted, most or wanted)
    free = 1 if cpus >= 2 else cpus / 2
    share = 1.0
    while share > _SMALLEST and (wanted * share > cpus - free or _places(nodes, share, gpus) < wanted):
        share /= 2
    # Without any place, such as on a cluster that has yet to grow, the workers wait for theirs.
    possible = min(_places(nodes, share, gpus), int((cpus - free) / share)) or wanted
    found = min(wanted, possible)
    has = f"{cpus:g} {'CPU' if cpus == 1 else 'CPUs'}" + (f" and {all_gpus:g} GPUs" if all_gpus else "")
    each = f"{share:g} CPU" + (f" and {gpus:g} GPU" if gpus else "") + (" each" if found > 1 else "")
    note = f"{found} {'worker' if found == 1 else 'workers'} with {each}; the Ray cluster has {has}"
    if found < wanted:
        note += f", too few for {wanted} workers"
    elif not _places(nodes, share, gpus):
        note += "; the job waits until it has grown"
    return Share(found, share, gpus, max(1, int(cpus // found)), note)


def _places(nodes: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """How many workers fit, each on one machine."""
    return sum(
        min(
            math.floor(node.get("CPU", 0) / cpus),
            math.floor(node.get("GPU", 0) / gpus + 1e-9) if gpus else 2**31,
        )
        for node in nodes
    )
