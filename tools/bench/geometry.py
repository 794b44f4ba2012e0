"""panollava-geometry compared with py360convert, PanorAi, pyequilib and cv2.remap: time, error, scaling, memory."""

import math
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import py360convert
import torch
from panollava_geometry import (
    PanoramaWarning,
    PerspectiveView,
    ViewPlan,
    extract_views,
    load_views,
    plan_views,
)
from panollava_geometry._sampling._resampling import clear_cache
from panollava_geometry._views._sphere import rays_to_equirect
from PIL import Image

from tools.bench.geometry_first_call import first_call
from tools.bench.geometry_floors import floors
from tools.bench.geometry_planning import floating, moving, planning, random_plans
from tools.bench.harness import ASSETS, compare, milliseconds, peak_memory, start_up_seconds, table
from tools.bench.peers import (
    RING,
    TILES,
    as_tensor,
    by_equilib,
    by_panorai,
    by_py360convert,
    cached_maps,
    centred,
    panorama,
)

POSES = ((0.0, 0.0), (137.0, 0.0), (180.0, 0.0), (0.0, 45.0), (0.0, -80.0))


def arrays() -> str:
    """Time to extract views from an array."""
    array = panorama(8192)
    tensor = as_tensor(array)
    maps = cached_maps(RING, 336, array.shape[:2])

    def planned() -> torch.Tensor:
        clear_cache()
        return extract_views(tensor, RING, 336)

    names = {
        "py360convert 1.0.4 `e2p` (point sampled)": lambda: by_py360convert(array, RING, 336),
        "pyequilib 0.6.0 `equi2pers`, torch (point sampled)": lambda: by_equilib(array, RING, 336),
        "`cv2.remap` on cached maps (the lower bound)": lambda: [cv2.remap(array, *m, cv2.INTER_LINEAR) for m in maps],
        "ours, antialiased": lambda: extract_views(tensor, RING, 336),
        "ours, antialiased, planning included": planned,
        "ours, `antialias=False`": lambda: extract_views(tensor, RING, 336, antialias=False),
        'ours, antialiased, `backend="torch"`': lambda: extract_views(tensor, RING, 336, backend="torch"),
        'ours, `antialias=False`, `backend="torch"`': lambda: extract_views(
            tensor, RING, 336, antialias=False, backend="torch"
        ),
    }
    times = compare(names, rounds=9, seconds=60)
    reference, bound = next(iter(times.values())), list(times.values())[2]
    rows = [(n, milliseconds(t), f"{t / reference:.3f}", f"{t / bound:.2f}") for n, t in times.items()]
    text = table(("8192×4096 uint8 array → 8 views 336²", "time", "÷ py360convert", "÷ lower bound"), rows)
    reads = 8 * 336**2 * 4
    return (
        f"{text}\n\nGoals: antialiased ≤ 1/6 of py360convert, `antialias=False` ≤ 3× the lower bound. Antialiasing "
        f"must read the belt that the ring sees, 2048 × 8192 × 3 = {2048 * 8192 * 3 / 1e6:.0f} MB (every direction is "
        f"in two views, so {2 * 2048 * 8192 * 3 / 1e6:.0f} MB are halved), then {reads / 1e6:.1f} M bilinear reads "
        "from the halved patches. A view is planned once. Views that differ in yaw by whole columns share a plan, as "
        "here."
    )


def write_jpeg(folder: Path, width: int) -> Path:
    """A JPEG of the test panorama."""
    path = folder / f"{width}.jpg"
    if not path.exists():
        source = panorama(min(width, 8192))
        image = Image.fromarray(source)
        (image if width <= 8192 else image.resize((width, width // 2), Image.Resampling.BILINEAR)).save(
            path, quality=90
        )
    return path


def normalised(views: torch.Tensor) -> torch.Tensor:
    """Convert to float in [-1, 1]."""
    return views.float().div_(127.5).sub_(1)


def usual_pipeline(path: Path) -> torch.Tensor:
    """Decode fully, py360convert at three times the size, Pillow's resize."""
    array = np.asarray(Image.open(path).convert("RGB"))
    images = [Image.fromarray(array), *map(Image.fromarray, by_py360convert(array, TILES[1:], 672))]
    small = [np.asarray(image.resize((224, 224), Image.Resampling.LANCZOS)) for image in images]
    return normalised(torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2))


def decode_only(path: Path, width: int) -> None:
    """Pillow's DCT-scaled decode."""
    image = Image.open(path)
    image.draft(None, (width, width // 2))
    image.load()


def files() -> str:
    """Time from a JPEG file to normalised views."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", PanoramaWarning)  # the edges of the noise do not meet
        path = write_jpeg(Path(folder), 8192)
        times = compare(
            {
                "Pillow full decode + py360convert 672² + Pillow resize": lambda: usual_pipeline(path),
                "ours, `load_views`": lambda: normalised(load_views(path, TILES, 224)),
                "of which the scaled decode to a width of 2048": lambda: decode_only(path, 2048),
            },
            rounds=7,
            seconds=60,
        )
    reference = next(iter(times.values()))
    rows = [(n, milliseconds(t), f"1/{reference / t:.1f}") for n, t in times.items()]
    header = ("8192×4096 JPEG → 9 `anyres_e2p` views 224², normalised float", "time", "ratio")
    return f"{table(header, rows)}\n\nGoal: ≤ 1/10. The scaled decode is the lower bound."


def scene(rays: np.ndarray, waves: int = 60) -> np.ndarray:
    """Plane waves through the sphere from 100 to 500 radians⁻¹, close to the limit of a 224-pixel view; grey levels."""
    rng = np.random.default_rng(0)
    wave = np.exp(rng.uniform(math.log(100), math.log(500), waves))
    axis = rng.normal(size=(waves, 3))
    axis = (axis * (wave / np.linalg.norm(axis, axis=1))[:, None]).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, waves).astype(np.float32)
    value = np.zeros(rays.shape[:-1], np.float32)
    flat, out = rays.reshape(-1, 3).astype(np.float32), value.reshape(-1)
    for start in range(0, len(flat), 2**17):
        block = flat[start : start + 2**17]
        out[start : start + 2**17] = np.sin(block @ axis.T + phase).sum(axis=1)
    return np.clip(127.5 + value * (45 / math.sqrt(waves / 2)), 0, 255)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, for 255 grey levels."""
    return 10 * math.log10(255**2 / float(np.mean((a.astype(np.float64) - b) ** 2)))


def error() -> str:
    """Error of the views of an analytic scene."""
    from equilib import equi2pers
    from panollava_geometry import EquirectangularView

    grey = scene(EquirectangularView().rays((2048, 4096))).round().astype(np.uint8)
    tensor = torch.from_numpy(grey)[None]
    views = [PerspectiveView(*pose) for pose in POSES]
    truth = [scene(view.rays((224 * 8, 224 * 8))).reshape(224, 8, 224, 8).mean(axis=(1, 3)) for view in views]
    plan = ViewPlan(views)

    def equilib(view: PerspectiveView) -> np.ndarray:
        pose = {"yaw": -math.radians(view.yaw_deg), "pitch": -math.radians(view.pitch_deg), "roll": 0.0}
        return equi2pers(tensor.float(), rots=pose, height=224, width=224, fov_x=90.0, mode="bilinear")[0].numpy()

    def halves(view: PerspectiveView) -> np.ndarray:
        fine = (rays_to_equirect(view.rays((448, 448)), grey.shape) - 0.5).astype(np.float32)
        read = cv2.remap(grey, fine[..., 0], fine[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return cv2.resize(read, (224, 224), interpolation=cv2.INTER_AREA)

    columns = {
        "ours": list(extract_views(tensor, plan, 224)[:, 0].numpy()),
        'ours, `backend="torch"`': list(extract_views(tensor, plan, 224, backend="torch")[:, 0].numpy()),
        "ours, `antialias=False`": list(extract_views(tensor, plan, 224, antialias=False)[:, 0].numpy()),
        "`cv2.remap`, 2×2 points": [halves(view) for view in views],
        "py360convert": [py360convert.e2p(grey, 90, *pose_of(view), (224, 224)) for view in views],
        "PanorAi": by_panorai(grey, views, 224),
        "pyequilib": [equilib(view) for view in views],
    }
    apart = np.abs(np.stack(columns["ours"]).astype(int) - np.stack(columns['ours, `backend="torch"`'])).max()
    rows = []
    for name, images in columns.items():
        decibels = [psnr(image, reference) for image, reference in zip(images, truth, strict=True)]
        rows.append((name, *(f"{value:.1f}" for value in decibels), f"**{min(decibels):.1f}**"))
    header = ("PSNR in dB, 4096 → 224² at 90°", *(f"{yaw:.0f}°/{pitch:.0f}°" for yaw, pitch in POSES), "worst")
    return (
        f"{table(header, rows)}\n\nCompared with an analytic scene averaged over 8×8 points per pixel. Columns: "
        f"yaw/pitch. Goal: ≥ 57 dB. Rounding to 8 bits limits the result to 58.9 dB. The backends differ by at most "
        f"{apart} grey level{'' if apart == 1 else 's'}; goal: 1."
    )


def pose_of(view: PerspectiveView) -> tuple[float, float]:
    """(yaw, pitch) as py360convert requires them."""
    return centred(view.yaw_deg), view.pitch_deg


def scaling() -> str:
    """Time by number of views and by width of the panorama, with a figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    counts, widths = (1, 4, 16, 64), (1024, 2048, 4096, 8192, 16384)
    tensor = as_tensor(panorama(4096))
    by_count = compare(
        {str(n): partial(extract_views, tensor, plan_views("e2p", num_views=n), 224) for n in counts}, seconds=20
    )
    by_width: dict[str, float] = {}
    for width in widths:
        wide = panorama(width) if width <= 8192 else np.repeat(np.repeat(panorama(8192), 2, 0), 2, 1)
        by_width |= compare({str(width): partial(extract_views, as_tensor(wide), RING, 224)}, rounds=5, seconds=10)
        del wide
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3), dpi=90, layout="constrained")
    for axis, keys, times, label in (
        (axes[0], counts, by_count, "views of 224² from 4096×2048"),
        (axes[1], widths, by_width, "width of the panorama, 8 views of 224²"),
    ):
        axis.loglog(keys, [times[str(key)] * 1e3 for key in keys], "o-", label="ours, antialiased")
        top = times[str(keys[-1])] * 1e3
        axis.loglog(keys, [top * key / keys[-1] for key in keys], ":", color="grey", label="linear")
        axis.set(xlabel=label, ylabel="milliseconds")
        axis.legend()
    ASSETS.mkdir(exist_ok=True)
    figure.savefig(ASSETS / "geometry-scaling.png")
    pyplot.close(figure)
    rows = [("views", *counts), ("time", *(milliseconds(by_count[str(n)]) for n in counts))]
    wide_rows = [("width", *widths), ("time", *(milliseconds(by_width[str(w)]) for w in widths))]
    return (
        f"{table(rows[0], rows[1:])}\n\n{table(wide_rows[0], wide_rows[1:])}\n\n"
        "![time against views and width](assets/geometry-scaling.png)"
    )


def prepare_memory(path: Path) -> Callable[[], object]:
    """The work of the new process whose memory is measured."""
    return partial(load_views, path, TILES, 224)


def memory() -> str:
    """Peak memory of loading views from a large file."""
    with tempfile.TemporaryDirectory() as folder:
        peak, above = peak_memory(partial(prepare_memory, write_jpeg(Path(folder), 16384)))
    return (
        f"16384×8192 JPEG → 9 views of 224²: peak {peak / 2**20:.0f} MB, which is {above / 2**20:.0f} MB above the "
        "process with its libraries loaded. Goal: ≤ 400 MB. The full image alone takes 403 MB."
    )


def start_up() -> str:
    """CPU time of imports and of the command line, run in turn."""
    commands = {
        "`import torch`": ("-c", "import torch"),
        "`import torch, panollava_geometry`": ("-c", "import torch, panollava_geometry"),
        "`import torch; from panollava_geometry import *`": ("-c", "import torch; from panollava_geometry import *"),
        "`import transformers`": ("-c", "import transformers"),
        "`panollava-geometry --help`": ("-m", "panollava_geometry.cli", "--help"),
        "`panollava-geometry crop --help`": ("-m", "panollava_geometry.cli", "crop", "--help"),
        "`panollava-geometry crop missing.jpg`": ("-m", "panollava_geometry.cli", "crop", "missing.jpg"),
    }
    rows = [(name, milliseconds(value)) for name, value in start_up_seconds(commands).items()]
    return (
        f"{table(('start-up', 'CPU time'), rows)}\n\nMedian of nine new processes. Goals: importing all names ≤ 250 ms "
        "above `import torch`; `--help` ≤ 0.15 × `import transformers`."
    )


#: The parts of the section, by the name that selects one: `python -m tools.bench geometry:planning`.
PARTS: dict[str, Callable[[], str]] = {
    "arrays": arrays,
    "planning": planning,
    "moving": moving,
    "floating": floating,
    "first-call": first_call,
    "files": files,
    "floors": floors,
    "error": error,
    "scaling": scaling,
    "random-plans": random_plans,
    "memory": memory,
    "start-up": start_up,
}


def run(names: Sequence[str] = ()) -> str:
    """The section as Markdown, or the named parts of it."""
    return "## Geometry\n\n" + "\n\n".join(PARTS[name]() for name in names or PARTS)
