"""How exact `locate` is near the poles, with a model that returns the true box of what it is shown.

`python -m tools.locate_poles [--count 25] [--seed 3]` renders one solid per panorama, turned at random, and compares
the region that is found with the box without roll that has the object in its middle. The model and the panoramas are
those of the tests of `locate`.
"""

import argparse
import dataclasses
import importlib
import math
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from panollava_geometry import SphericalBox
from panollava_hf import Answerer
from panollava_hf.panoshapes import SHAPES, sample_scene

TESTS = Path(__file__).resolve().parent.parent / "packages" / "panollava-hf" / "tests" / "asking"
#: Ranges of the pitch, in degrees.
RANGES = ((63.0, 75.0), (75.0, 82.0), (82.0, 88.0), (86.0, 90.0))


def true_box(finder: Any, ids: np.ndarray) -> SphericalBox:
    """The box without roll that has the object in its middle, or comes nearest to that."""
    rays = finder.corners_of(ids, 0)
    centre, best = rays.mean(axis=0), (math.inf, SphericalBox(0, 0, 1, 1))
    for _ in range(200):
        yaw = math.degrees(math.atan2(centre[0], centre[2]))
        pitch = math.degrees(math.atan2(centre[1], math.hypot(centre[0], centre[2])))
        frame = SphericalBox(yaw, pitch, 1, 1).rotation
        middle, size = finder.middle_and_size(rays, frame)
        off = float(np.abs(middle).sum())
        if off < best[0]:
            best = off, SphericalBox(yaw, pitch, *np.degrees(size).tolist())
        centre = frame @ np.array([*np.tan(0.3 * middle), 1.0])
    return best[1]


def solid(rng: random.Random, lowest: float, highest: float) -> Any:
    """A solid above or below, of a random shape, size and turn."""
    return dataclasses.replace(
        sample_scene(0, "test", 0).objects[0],
        shape=rng.choice(SHAPES),
        yaw_deg=rng.uniform(-180, 180),
        pitch_deg=rng.choice([-1, 1]) * rng.uniform(lowest, highest),
        distance=rng.uniform(1.5, 4),
        radius=rng.uniform(0.35, 0.6),
        tilt_deg=rng.uniform(0, 90),
        roll_deg=rng.uniform(-180, 180),
    )


def main() -> None:
    """Print a table, a line for each range of the pitch."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=25, help="solids in each range")
    options.add_argument("--seed", type=int, default=3)
    chosen = options.parse_args()
    sys.path.insert(0, str(TESTS))
    finder = importlib.import_module("finder")
    print("| pitch | lowest IoU | IoU below 0.8 | largest distance | above 1° | calls |\n|---|---|---|---|---|---|")
    for lowest, highest in RANGES:
        rng = random.Random(chosen.seed)
        shares, distances, calls = [], [], 0
        for _ in range(chosen.count):
            panorama, ids = finder.painted([solid(rng, lowest, highest)])
            model = finder.Finder("qwen3_vl", ["thing"])
            found = Answerer(model, view_size=448, strategy="views").locate(panorama, "thing")
            (region,) = found.regions  # each solid exactly once
            box = true_box(finder, ids)
            shares.append(region.box.iou(box))
            cosine = float(region.box.rotation[:, 2] @ box.rotation[:, 2])
            distances.append(math.degrees(math.acos(min(1.0, cosine))))
            calls += found.calls
        below, above = sum(share < 0.8 for share in shares), sum(distance > 1 for distance in distances)
        print(
            f"| {lowest:g} to {highest:g}° | {min(shares):.3f} | {below} of {chosen.count} | {max(distances):.2f}° | "
            f"{above} of {chosen.count} | {calls / chosen.count:.1f} |"
        )


if __name__ == "__main__":
    main()
