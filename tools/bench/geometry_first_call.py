"""The first call in a new process, with imports and planning counted."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tools.bench.harness import milliseconds, table
from tools.bench.peers import panorama

ROUNDS = 9
#: Begins each program; `mark` notes the seconds since the last mark.
HEAD = """
import json, sys, time
begin = time.perf_counter()
found = {}
def mark(name):
    global begin
    now = time.perf_counter()
    found[name] = now - begin
    begin = time.perf_counter()
import numpy as np
image = np.load(sys.argv[1])
mark("numpy and the image")
poses = [(-180 + 360 / 7 * i, 0.0) for i in range(7)]
"""
PROGRAMS = {
    "py360convert with OpenCV": """
import cv2, py360convert
mark("imports")
views = [py360convert.e2p(image, 90, *pose, (224, 224)) for pose in poses]
mark("7 views")
""",
    "PanorAi, from uint8": """
from panorai.geometry import GnomonicSpec, equirectangular_to_gnomonic
mark("imports")
floating = image.astype(np.float32)
specs = [GnomonicSpec(pitch, yaw, 90.0, 90.0, 0.0, (224, 224)) for yaw, pitch in poses]
views = [np.rint(equirectangular_to_gnomonic(floating, spec).data).astype(np.uint8) for spec in specs]
mark("7 views")
""",
    "ours, antialiased": """
from panollava_geometry import PerspectiveView, extract_views
mark("imports")
views = extract_views(image, [PerspectiveView(*pose) for pose in poses], 224)
mark("7 views")
""",
    "ours, in a process with torch": """
import torch
mark("torch")
from panollava_geometry import PerspectiveView, extract_views
mark("imports")
views = extract_views(image, [PerspectiveView(*pose) for pose in poses], 224)
mark("7 views")
""",
}
TAIL = """
assert len(views) == 7 and views[0].shape == (224, 224, 3)
print(json.dumps(found))
"""


def once(program: str, image: Path) -> dict[str, float]:
    """Run a program in a new process; seconds of its steps, and of the process in all."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", HEAD + program + TAIL, str(image)]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, env=environment, text=True)
    whole = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError(f"a program that is measured ended with exit code {done.returncode}: {done.stderr[-500:]}")
    return {"process": whole, **json.loads(done.stdout.splitlines()[-1])}


def first_call() -> str:
    """Seconds of the first call in a new process."""
    steps = ("torch", "imports", "7 views", "process")
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.npy"
        np.save(image, panorama(2048))
        for number in range(ROUNDS + 1):
            for name, program in PROGRAMS.items():
                found = once(program, image)
                if number:  # the first one compiles bytecode and fills the caches of the file system
                    measured[name].append(found)
    rows = []
    reference = 0.0
    for name, runs in measured.items():
        medians = {step: statistics.median(run.get(step, 0.0) for run in runs) for step in steps}
        needed = medians["imports"] + medians["7 views"]
        reference = reference or needed
        cells = [milliseconds(medians[step]) if medians[step] else "–" for step in steps]
        rows.append((name, *cells[:3], milliseconds(needed), f"{needed / reference:.2f}", cells[3]))
    header = (
        "2048×1024 uint8 array → 7 views 224², first call",
        "`import torch`",
        "import of the library",
        "7 views",
        "import and views",
        "ratio",
        "whole process",
    )
    return (
        f"{table(header, rows)}\n\nMedian of {ROUNDS} new processes each, run in turns; wall-clock time. Goal: a ratio "
        "≤ 1. The import of the library includes torch unless the process has imported it before."
    )
