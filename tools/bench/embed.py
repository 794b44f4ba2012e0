"""`panollava embed`: its cost against the model alone and a plain loop, and its time and memory against the number."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import py360convert
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, BitImageProcessor, Dinov2Config

from tools.bench.harness import ASSETS, compare, load, table

#: Panoramas and rounds of the comparison, and panoramas per forward pass.
PANORAMAS, ROUNDS, BATCH = 32, 3, 16
#: Numbers of panoramas of the growth.
GROWTH = (100, 300, 1000, 3000, 10_000)
#: Seconds between two looks at the memory of a process.
LOOK = 0.02


def write_tower(folder: Path, *, size: int, **config: int) -> Path:
    """A DINOv2 tower with random weights, and the image processor that facebook/dinov2-small has."""
    torch.manual_seed(0)
    AutoModel.from_config(Dinov2Config(image_size=518, patch_size=14, **config)).save_pretrained(folder)
    BitImageProcessor(
        size={"shortest_edge": 256 * size // 224},
        crop_size={"height": size, "width": size},
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)
    return folder


def write_panoramas(folder: Path, count: int, width: int) -> list[Path]:
    """JPEG files of panoramas with structure at several scales, each turned and coloured differently."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    total = np.zeros((width // 2, width, 3), np.float32)
    for cells, strength in ((16, 40), (128, 20), (width // 8, 8)):
        noise = rng.normal(size=(cells // 2, cells, 3)).astype(np.float32)
        total += strength * cv2.resize(noise, (width, width // 2), interpolation=cv2.INTER_CUBIC)
    paths = []
    for index in range(count):
        turned = np.roll(total, int(rng.integers(width)), 1) * rng.uniform(0.5, 1.0, 3) + rng.uniform(96, 160, 3)
        paths.append(folder / f"{index:03}.jpg")
        Image.fromarray(np.clip(turned, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def plain_loop(paths: Sequence[Path], tower: Any, processor: Any, plan: Sequence[Any]) -> None:
    """What one writes without this package: py360convert per tile, one panorama at a time."""
    for path in paths:
        panorama = np.asarray(Image.open(path).convert("RGB"))
        tiles = [
            py360convert.e2p(panorama, view.hfov_deg, (view.yaw_deg + 180) % 360 - 180, view.pitch_deg, (224, 224))
            for view in plan[1:]
        ]
        images = [Image.fromarray(tile) for tile in (panorama, *tiles)]
        inputs = processor(images, return_tensors="pt")
        with torch.inference_mode():
            tower(**inputs).pooler_output.mean(0)


def costs(folder: Path) -> str:
    """Seconds per 1,000 panoramas of the job, of the model alone, and of the loop."""
    from panollava_geometry import plan_views
    from panollava_hf.jobs import PanoramaEmbedder, open_source, run_job
    from panollava_hf.jobs._cpu_linear import fast_linear

    dinov2_small = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6}
    tower_folder = write_tower(folder / "small", size=224, **dinov2_small)
    paths = write_panoramas(folder / "panoramas", PANORAMAS, 2048)
    plan = plan_views("anyres_e2p")
    tower = AutoModel.from_pretrained(tower_folder).eval()
    processor = AutoImageProcessor.from_pretrained(tower_folder)
    views = torch.randn(len(plan), 3, 224, 224)  # one panorama in a pass is the fastest here
    job = PanoramaEmbedder(str(tower_folder), device="cpu", batch_size=BATCH)

    def model_alone() -> None:
        for _ in range(PANORAMAS):
            with torch.inference_mode():
                tower(pixel_values=views)

    def model_in_onednn() -> None:
        with fast_linear(torch.device("cpu")):
            model_alone()

    def ours() -> None:
        source = open_source(str(folder / "panoramas"))
        summary = run_job(job, source, folder / "vectors.parquet", resume=False, progress=False)
        if (summary.done, summary.failed) != (PANORAMAS, 0):
            raise RuntimeError(f"{summary.done} of {PANORAMAS} panoramas have a vector")

    candidates: dict[str, Callable[[], object]] = {
        "the model's forward alone, views cut beforehand": model_alone,
        "the same with the linear layers in oneDNN, as `panollava embed` runs them": model_in_onednn,
        "**`panollava embed`**": ours,
        "loop: py360convert, transformers' image processor, one panorama at a time": lambda: plain_loop(
            paths, tower, processor, plan
        ),
    }
    times = compare(candidates, rounds=ROUNDS, seconds=240.0)
    floor = next(iter(times.values()))
    rows = [[name, f"{1000 * seconds / PANORAMAS:.0f} s", f"{seconds / floor:.2f}×"] for name, seconds in times.items()]
    text = table(("DINOv2-small on the CPU, float32", "per 1,000 panoramas", "÷ the model alone"), rows)
    return (
        f"JPEG files of 2048×1024, {len(plan)} views of 224², {PANORAMAS} panoramas in turns, batches of {BATCH} "
        f"panoramas; the model is loaded beforehand.\n\n{text}\n\nGoal: ≤ 1.15× the model alone."
    )


def watched(command: Sequence[str]) -> tuple[float, int]:
    """Seconds of a command, and the largest resident memory of its process and those that it starts."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        peak, ours = 0, psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, resident(ours))
            time.sleep(LOOK)
        seconds = time.perf_counter() - start
        message = process.stderr.read().decode() if process.stderr else ""
    if process.returncode:
        raise RuntimeError(f"{command[3:]} ended with exit code {process.returncode}: {message[-500:]}")
    return seconds, peak


def resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its children; those that have just ended count 0."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def growth(folder: Path) -> str:
    """Time and peak memory of the command against the number of panoramas, as a table and a plot."""
    from matplotlib import pyplot

    tiny = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    tower = write_tower(folder / "tiny", size=56, **tiny)
    originals = write_panoramas(folder / "originals", GROWTH[0], 512)
    points = []
    for count in GROWTH:
        source = folder / f"growth-{count}"
        source.mkdir()
        for index in range(count):
            os.link(originals[index % len(originals)], source / f"{index:05}.jpg")
        output = folder / f"growth-{count}.parquet"
        command = [sys.executable, "-m", "panollava_hf", "embed", str(source), "-o", str(output)]
        points.append((count, *watched([*command, "--model", str(tower), "--device", "cpu"])))
    counts, seconds, peaks = (np.array(column, float) for column in zip(*points, strict=True))
    slope, start = np.polyfit(counts, seconds, 1)
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6))
    axes[0].plot(counts, seconds, "o")
    axes[0].plot(counts, start + slope * counts, "--", label=f"{start:.1f} s + {1000 * slope:.1f} s per 1,000")
    axes[0].set(xlabel="panoramas", ylabel="seconds")
    axes[0].legend()
    axes[1].semilogx(counts, peaks / 2**20, "o-")
    axes[1].set(xlabel="panoramas", ylabel="peak memory, MiB", ylim=(0, None))
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.tight_layout()
    ASSETS.mkdir(parents=True, exist_ok=True)
    figure.savefig(ASSETS / "embed-growth.png", dpi=110)
    rows = [
        [f"{count:,}", f"{taken:.1f} s", f"{1000 * (taken - start) / count:.1f} s", f"{peak / 2**20:.0f} MiB"]
        for count, taken, peak in points
    ]
    text = table(("panoramas", "time", "per 1,000, without the start", "peak memory"), rows)
    return (
        "The whole command in a new process, with a tower of two layers and views of 56², so that the engine and not "
        f"the model takes the time.\n\n{text}\n\n![time and memory against the number](assets/embed-growth.png)\n\n"
        f"Peak memory of 10,000 panoramas: {peaks[-1] / peaks[0]:.2f}× that of 100."
    )


def run() -> str:
    """Measure and return the section's Markdown."""
    texts = ["## Vectors of many panoramas", load()]
    with tempfile.TemporaryDirectory() as folder:
        texts += [part(Path(folder)) for part in (costs, growth)]
    return "\n\n".join(texts)
