"""Views whose plans are not cached: new plans in every call, moving cameras, float panoramas, many random plans."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from panollava_geometry import PerspectiveView, ViewPlan, extract_views
from panollava_geometry._sampling._resampling import clear_cache

from tools.bench.harness import compare, milliseconds, resident_after, table
from tools.bench.peers import (
    RING,
    VARYING,
    as_tensor,
    by_panorai,
    by_py360convert,
    panorama,
    py360convert_unplanned,
)

Candidates = dict[str, Callable[[], object]]
PLANS = {"equal pitch": RING, "varying pitch": VARYING}
#: Calls after which the memory is read.
CALLS = (200, 1000, 2000)


def ratio(reference: float, seconds: float) -> str:
    """1/x if it is faster than the reference, x if it is slower."""
    return f"1/{reference / seconds:.1f}" if seconds < reference else f"{seconds / reference:.1f}"


def two_plans(title: str, candidates: Callable[[ViewPlan], Candidates]) -> str:
    """Measure candidates for views of equal and of varying pitch; ratios are to the first."""
    columns = [compare(candidates(plan), rounds=7, seconds=40) for plan in PLANS.values()]
    rows = []
    for name in columns[0]:
        row = [name]
        for times in columns:
            row += [milliseconds(times[name]), ratio(next(iter(times.values())), times[name])]
        rows.append(row)
    return table((title, *(cell for name in PLANS for cell in (name, "ratio"))), rows)


def planning() -> str:
    """Time with a new plan in every call."""
    array = panorama(8192)
    tensor = as_tensor(array)

    def ours(plan: ViewPlan) -> torch.Tensor:
        clear_cache()
        return extract_views(tensor, plan, 336)

    def candidates(plan: ViewPlan) -> Candidates:
        return {
            "py360convert 1.0.4 `e2p`, planning in every call": lambda: py360convert_unplanned(array, plan, 336),
            "py360convert 1.0.4 `e2p`, its maps cached": lambda: by_py360convert(array, plan, 336),
            "PanorAi 3.8.0 `equirectangular_to_gnomonic`, from uint8": lambda: by_panorai(array, plan, 336),
            "ours, antialiased, planning in every call": lambda: ours(plan),
        }

    text = two_plans("8192×4096 uint8 array → 8 views 336²", candidates)
    return (
        f"{text}\n\nGoal: ≤ 1/8. Views of equal pitch that differ in yaw by whole columns share a plan; of varying "
        "pitch, each view has its own. Peers read single points. PanorAi takes floating point only and plans in every "
        "call."
    )


def floating() -> str:
    """Time of float32 panoramas with `backend="torch"`."""
    from panorai.geometry import equirectangular_to_gnomonic

    from tools.bench.peers import panorai_spec

    array = panorama(8192).astype(np.float32) / 255
    tensor = torch.from_numpy(array).permute(2, 0, 1).contiguous()

    def ours(plan: ViewPlan) -> torch.Tensor:
        clear_cache()
        return extract_views(tensor, plan, 336, backend="torch")

    def panorai(plan: ViewPlan) -> list[torch.Tensor]:
        return [equirectangular_to_gnomonic(tensor, panorai_spec(view, 336)).data for view in plan]

    def candidates(plan: ViewPlan) -> Candidates:
        return {
            "py360convert, planning in every call": lambda: py360convert_unplanned(array, plan, 336),
            "PanorAi, NumPy": lambda: by_panorai(array, plan, 336),
            "PanorAi, torch": lambda: panorai(plan),
            'ours, antialiased, `backend="torch"`': lambda: extract_views(tensor, plan, 336, backend="torch"),
            "ours, antialiased, planning in every call": lambda: ours(plan),
        }

    text = two_plans("8192×4096 float32 on the CPU → 8 views 336²", candidates)
    return f"{text}\n\nGoal: ≤ 0.5."


def moving() -> str:
    """Time of frames with a moving camera: no pose repeats, in the whole measurement."""
    poses = (PerspectiveView(0.37 * i % 360, 40 * np.sin(0.11 * i).item()) for i in itertools.count())
    rows = []
    for width, size in ((3840, 512), (2048, 224)):
        frames = [np.roll(panorama(width), 37 * i, axis=1) for i in range(10)]

        def each(
            function: Callable[[np.ndarray, PerspectiveView], object], frames: Sequence[np.ndarray] = frames
        ) -> Callable[[], object]:
            return lambda: [function(frame, next(poses)) for frame in frames]

        def of(size: int = size) -> Candidates:
            return {
                "py360convert": each(lambda frame, view: by_py360convert(frame, [view], size)),
                "PanorAi, from uint8": each(lambda frame, view: by_panorai(frame, [view], size)),
                "ours, antialiased": each(lambda frame, view: extract_views(as_tensor(frame), view, size)),
            }

        times = compare(of(), rounds=9, seconds=30)
        reference = next(iter(times.values()))
        rows += [
            (f"{width}×{width // 2} → {size}²", name, milliseconds(t), ratio(reference, t)) for name, t in times.items()
        ]
    text = table(("10 frames with a moving camera, uint8", "", "time", "ratio"), rows)
    return f"{text}\n\nGoal: ≤ 0.5. No pose repeats during the measurement, so nothing is cached."


def make_random_call() -> Callable[[], object]:
    """The work of the new process whose memory is read: views of random poses and fields of view."""
    rng = np.random.default_rng(0)
    tensor = as_tensor(panorama(1024))

    def call() -> object:
        views = [
            PerspectiveView(*rng.uniform((-180, -90), (180, 90)).tolist(), hfov_deg=float(rng.uniform(40, 110)))
            for _ in range(int(rng.integers(1, 3)))
        ]
        return extract_views(tensor, ViewPlan(views), 224)

    return call


def random_plans() -> str:
    """Memory of one process during calls with random plans."""
    found = resident_after(make_random_call, CALLS)
    text = table(
        ("calls with random plans, 1024×512 → 1 or 2 views 224²", *CALLS),
        [("resident memory", *(f"{value / 2**20:.0f} MB" for value in found))],
    )
    return f"{text}\n\nGoal: flat. A plan is cached from the second time on, and no plan repeats here."
