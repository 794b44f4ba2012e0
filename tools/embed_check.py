"""Whether `panollava embed` gives the same vectors on both engines, and after it was killed.

`python -m tools.embed_check --model TOWER --photographs FOLDER [--count 2000] [--work FOLDER]` embeds the photographs
and `count` rendered panoramas: on this machine, with Ray, and on this machine with a SIGKILL at a random moment. It
prints what differs, and ends with exit code 1 if something does. Run it again to go on; finished steps are kept.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from panollava_hf.panoshapes import render_scene, sample_scene
from PIL import Image

#: Smallest cosine of two vectors that count as the same.
SAME = 0.99999


def prepare(work: Path, photographs: Path, count: int, width: int) -> Path:
    """A folder with the photographs and rendered panoramas; those that are there already are kept."""
    folder = work / "panoramas"
    for name in ("photographs", "rendered"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in sorted(photographs.glob("*.jpg")):
        if not (folder / "photographs" / path.name).exists():
            shutil.copyfile(path, folder / "photographs" / path.name)
    for index in range(count):
        target = folder / "rendered" / f"{index:05d}.jpg"
        if not target.exists():
            scratch = work / "rendering.jpg"
            Image.fromarray(render_scene(sample_scene(0, "test", index), width)).save(scratch, quality=92)
            os.replace(scratch, target)
    for path in (folder / "rendered").iterdir():  # of an earlier run with a larger count
        if int(path.stem) >= count:
            path.unlink()
    return folder


def command(folder: Path, output: Path, options: list[str]) -> list[str]:
    """The command that embeds a folder."""
    return [sys.executable, "-m", "panollava_hf", "embed", str(folder), "-o", str(output), *options]


def embed(folder: Path, output: Path, options: list[str], env: dict[str, str]) -> int:
    """Run the command; its exit code."""
    print("$", " ".join(command(folder, output, options)), flush=True)
    return subprocess.run(command(folder, output, options), env=env, check=False).returncode


def kill_and_go_on(folder: Path, output: Path, options: list[str], env: dict[str, str], rng: random.Random) -> str:
    """Run the command, kill it at a random moment after its first part, and run it again; what was seen.

    Raises:
        RuntimeError: The command ended before it was killed.
    """
    parts = output.with_name(f"{output.name}.parts")
    total = sum(path.is_file() for path in folder.rglob("*.jpg"))
    wanted = rng.randint(1, max(1, -(-total // 256) - 1))
    process = subprocess.Popen(command(folder, output, options), env=env, start_new_session=True)
    started = time.monotonic()
    while process.poll() is None and len(list(parts.glob("part-*"))) < wanted:
        time.sleep(0.01)
    if process.poll() is None:
        time.sleep(rng.uniform(0, (time.monotonic() - started) / wanted))  # somewhere in the next part
    if process.poll() is not None:
        output.unlink()
        raise RuntimeError("the command ended before it was killed: use a larger --count")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = len(list(parts.glob("part-*")))
    code = embed(folder, output, options, env)
    return f"killed after {time.monotonic() - started:.0f} s with {kept} parts; the second run ended with code {code}"


def read(path: Path) -> tuple[list[str], np.ndarray[Any, Any], np.ndarray[Any, Any], list[Any]]:
    """Ids, vectors `[N, D]`, those of views `[N, V, D]`, and everything else."""
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    vectors = np.array([row["vector"] for row in rows], np.float64)
    views = np.array([[view["vector"] for view in row["views"]] for row in rows], np.float64)
    others = [
        (row["path"], row["width"], row["height"], [(view["yaw_deg"], view["pitch_deg"]) for view in row["views"]])
        for row in rows
    ]
    return [row["id"] for row in rows], vectors, views, others


def compare(first: Path, second: Path) -> tuple[float, bool]:
    """The smallest cosine of two files of vectors, and whether all other cells are equal."""
    (ids, vectors, views, others), (ids_2, vectors_2, views_2, others_2) = read(first), read(second)
    if ids != ids_2:
        return 0.0, False
    cosines = [(vectors * vectors_2).sum(-1), (views * views_2).sum(-1)]
    norms = [
        np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1) for a, b in ((vectors, vectors_2), (views, views_2))
    ]
    return min(float((c / n).min()) for c, n in zip(cosines, norms, strict=True)), others == others_2


def broken(work: Path, folder: Path, options: list[str], env: dict[str, str]) -> bool:
    """Four broken files among eight: whether there are four vectors, four errors, and exit code 1."""
    eight = work / "eight"
    shutil.rmtree(eight, ignore_errors=True)
    eight.mkdir()
    good = sorted((folder / "photographs").iterdir())[:4]
    for path in good:
        shutil.copyfile(path, eight / path.name)
    (eight / "empty.jpg").write_bytes(b"")
    (eight / "text.jpg").write_text("hello")
    (eight / "cut.jpg").write_bytes(good[0].read_bytes()[:20_000])
    Image.new("RGB", (300, 300), "grey").save(eight / "square.jpg")
    code = embed(eight, work / "eight.jsonl", [*options, "--no-resume"], env)
    rows = [json.loads(line) for line in (work / "eight.jsonl").read_text().splitlines()]
    found = [sum(row["error"] is None for row in rows), sum(row["vector"] is None for row in rows)]
    print(f"four broken files among eight: {found[0]} vectors, {found[1]} errors, exit code {code}")
    return (found, code) == ([4, 4], 1)


def main() -> int:
    """Run the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="vision tower, such as a folder that tools/real_towers.py wrote")
    parser.add_argument("--photographs", type=Path, required=True, help="folder of panoramas (.jpg)")
    parser.add_argument("--count", type=int, default=2000, help="rendered panoramas")
    parser.add_argument("--width", type=int, default=512, help="their width in pixels")
    parser.add_argument("--work", type=Path, default=Path("embed-check"), help="folder for panoramas and results")
    parser.add_argument("--seed", type=int, default=None, help="seed of the moment of the kill")
    parser.add_argument("--embed", default="", help="further options of `panollava embed`, such as '--view-size 112'")
    given = parser.parse_args()
    options = ["--model", given.model, *given.embed.split()]
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    folder = prepare(given.work, given.photographs, given.count, given.width)
    outputs = {name: given.work / f"{name}.parquet" for name in ("local", "ray", "killed")}
    codes = {
        "local": embed(folder, outputs["local"], options, env),
        "ray": embed(folder, outputs["ray"], [*options, "--engine", "ray"], env),
    }
    status = given.work / "killed.txt"
    if not status.exists():
        status.write_text(kill_and_go_on(folder, outputs["killed"], options, env, random.Random(given.seed)))
    cosine, equal = compare(outputs["local"], outputs["ray"])
    same_bytes = outputs["killed"].read_bytes() == outputs["local"].read_bytes()
    rows = len(read(outputs["local"])[0])
    print(f"{rows} rows; exit codes {codes}")
    print(f"local and Ray: smallest cosine {cosine:.7f}, other cells {'equal' if equal else 'DIFFERENT'}")
    print(status.read_text())
    print(f"after SIGKILL: the file is {'the same, byte for byte' if same_bytes else 'DIFFERENT'}")
    four = broken(given.work, folder, options, env)
    passed = cosine >= SAME and equal and same_bytes and four and not any(codes.values())
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
