"""The geometry: the tests of devices, results against the CPU, and the time of each function."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from panollava_geometry import (
    PerspectiveView,
    ViewPlan,
    extract_views,
    find_correspondences,
    paste_views,
    plan_views,
    rotate_equirectangular,
)
from panollava_geometry._sampling._resampling import clear_cache

from tools.gpu_check.harness import Bench, require

ROOT = Path(__file__).resolve().parents[2]
TESTS = "packages/panollava-geometry/tests/test_devices.py"
#: Of values in [0, 1]: positions in float32 differ by 2e-7 of the panorama's width.
LIMIT = 1e-3
VARYING = ViewPlan([PerspectiveView(45.013 * i, -35.0 + 10.0 * i) for i in range(8)])


def _panorama(bench: Bench, height: int) -> torch.Tensor:
    """A smooth float32 panorama [3, H, 2H], on the CPU; of 256x128 pixels if the check is small."""
    height = 128 if bench.small else height
    coarse = torch.rand(1, 3, height // 8, height // 4)
    return torch.nn.functional.interpolate(coarse, (height, 2 * height), mode="bilinear")[0]


def tests(bench: Bench) -> dict[str, Any]:
    """The tests marked `gpu` of the geometry, or the same ones on the CPU."""
    require(find_spec("pytest") is not None, "pytest is not installed: the tests of the geometry need it")
    marked = "gpu" if bench.device.type == "cuda" else "not gpu"
    command = [sys.executable, "-m", "pytest", TESTS, "-m", marked, "-q", "--no-header", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    passed = re.search(r"(\d+) passed", done.stdout)
    require(done.returncode == 0 and passed is not None, f"{TESTS} failed: {(done.stdout + done.stderr)[-2000:]}")
    return {"passed": int(passed.group(1)) if passed else 0}


def results(bench: Bench) -> dict[str, Any]:
    """Views, pasted views, rotations, labels and gradients: the largest difference from the CPU."""
    erp, figures = _panorama(bench, 1024), {}
    size = 32 if bench.small else 224
    labels = (erp * 20).long()
    height = erp.shape[-2] // 4
    works = {
        "views": lambda image, _: extract_views(image, VARYING, size, backend="torch"),
        "rotated": lambda image, _: rotate_equirectangular(image, 10, 20, 30),
        "pasted": lambda image, _: paste_views(image[None, :, :size, :size].expand(8, -1, -1, -1), VARYING, height)[0],
        "labels": lambda _, classes: extract_views(classes, VARYING, size, interpolation="nearest"),
    }
    there, classes = erp.to(bench.device), labels.to(bench.device)
    for name, work in works.items():
        expected, found = work(erp, labels), work(there, classes)
        require(found.device.type == bench.device.type, f"{name} left the device: {found.device}")
        figures[name] = (found.cpu().double() - expected.double()).abs().max().item()
        limit = 0.0 if name == "labels" else LIMIT
        require(figures[name] <= limit, f"{name}: largest difference {figures[name]:.2e}, expected <= {limit}")
    figures["gradient"] = _gradient_difference(erp, bench.device, size)
    return figures


def _gradient_difference(erp: torch.Tensor, device: torch.device, size: int) -> float:
    found = []
    for place in (torch.device("cpu"), device):
        image = erp.to(place).detach().requires_grad_()
        extract_views(image, VARYING, size).square().sum().backward()
        require(image.grad is not None and image.grad.device.type == place.type, "the gradient left the device")
        found.append(image.grad.cpu().double() if image.grad is not None else erp)
    difference = ((found[1] - found[0]).norm() / found[0].norm()).item()
    require(difference < 1e-3, f"relative difference of the gradients {difference:.2e}, expected < 1e-3")
    return difference


def speed(bench: Bench) -> dict[str, Any]:
    """Milliseconds of each function, for a panorama of 8192x4096 that is already on the device."""
    erp = _panorama(bench, 4096).to(bench.device)
    bytes_ = (erp * 255).to(torch.uint8)
    size, height = (32, 64) if bench.small else (336, 2048)
    cube = plan_views("cubemap")
    faces = extract_views(erp, cube, size)
    half = torch.nn.functional.avg_pool2d(erp, 2)
    gradient = erp.clone().requires_grad_()

    def planning() -> None:
        clear_cache()
        extract_views(bytes_, VARYING, size)

    def backward() -> None:
        gradient.grad = None
        extract_views(gradient, VARYING, size).sum().backward()

    works = {
        "8 views, uint8": lambda: extract_views(bytes_, VARYING, size),
        "8 views, uint8, with planning": planning,
        "8 views, float32": lambda: extract_views(erp, VARYING, size),
        "8 views, float32, with gradient": backward,
        "6 views pasted": lambda: paste_views(faces, cube, height),
        "rotated, half size": lambda: rotate_equirectangular(half, 10, 20, 30),
        "correspondences": lambda: find_correspondences(plan_views("e2p"), size),
    }
    bench.peak()
    figures: dict[str, Any] = {f"{name}, ms": bench.seconds(work, rounds=3) * 1e3 for name, work in works.items()}
    return {**figures, "peak MiB": bench.peak()}
