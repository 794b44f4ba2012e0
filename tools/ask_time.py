"""Time of `panollava ask` with the embedded checkpoint, compared with an earlier commit.

`python -m tools.ask_time COMMIT [--rounds 9] [--load 2] [--answers 50] [--write]` runs both versions and an import of
torch and transformers in turns, each in a new process, and prints medians and ratios. `--answers` also compares what
both answer about rendered scenes, `--write` puts the table into docs/benchmarks.md.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.bench.harness import busy, machine, milliseconds, table, write_section

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("geometry", "losses", "core", "hf")
PANORAMA = ROOT / "docs" / "assets" / "sample-panorama.jpg"
QUESTION = "How many objects are there?"
#: Since this file exists, the embedded checkpoint has to be named; before, it was the default.
NAMES_MODELS = "packages/panollava-hf/src/panollava_hf/asking/_default_model.py"
FLOOR = "`import torch, transformers` alone"

#: Prints answers to questions about rendered scenes, one per line.
ANSWERS = """
import sys
import numpy as np
from panollava_hf import Answerer
from panollava_hf.panoshapes import questions, render_scene, sample_scene
names, count = sys.argv[2:], int(sys.argv[1])
answerer = Answerer.load(*names)
for index in range(count):
    scene = sample_scene(1, "test", index)
    asked = questions(scene, np.random.default_rng(index))
    print(repr(answerer.answer(render_scene(scene), asked[index % len(asked)].question, max_new_tokens=64).text))
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the version to compare with")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each (default 9), after one that is not counted")
    parser.add_argument("--load", type=int, default=0, help="other processes, each of which uses a core (default 0)")
    parser.add_argument("--answers", type=int, default=0, help="number of answers to compare (default 0)")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    given = parser.parse_args(arguments)
    with earlier_version(given.commit) as earlier:
        if given.answers:
            compare_answers(earlier, given.answers)
        commands = {
            f"`panollava ask` of {given.commit}": ask_command(earlier),
            "`panollava ask`": ask_command(ROOT),
            FLOOR: (ROOT, ["-c", "import torch, transformers; print(0)"]),
        }
        quiet = measure(commands, given.rounds)
        loaded = {}
        if given.load:
            with busy(given.load):
                loaded = measure(commands, given.rounds)
    text = report(quiet, loaded, given.load)
    print(text)
    if given.write:
        write_section("ask", f"{text}\n\n{machine('transformers')}")


@contextmanager
def earlier_version(commit: str) -> Iterator[Path]:
    """A work tree of a commit in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "earlier"
        _git("worktree", "add", "--detach", str(place), commit)
        try:
            yield place
        finally:
            _git("worktree", "remove", "--force", str(place))


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True)


def ask_command(root: Path) -> tuple[Path, list[str]]:
    """A version and the arguments for Python that ask its embedded checkpoint."""
    named = ["--model", "embedded"] if (root / NAMES_MODELS).exists() else []
    return root, ["-m", "panollava_hf", "ask", str(PANORAMA), QUESTION, *named]


def environment(root: Path) -> dict[str, str]:
    """The environment in which this Python imports the packages of a version; bytecode is kept, as for a user."""
    paths = [str(root / "packages" / f"panollava-{name}" / "src") for name in PACKAGES]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}


def measure(commands: Mapping[str, tuple[Path, list[str]]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds until the first line of output, and until the process has ended, of new processes in turns.

    Raises:
        RuntimeError: A process prints nothing.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, (root, arguments) in commands.items():
            begin = time.perf_counter()
            with subprocess.Popen(
                [sys.executable, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(root),
                cwd=root,
            ) as process:
                assert process.stdout is not None
                line = process.stdout.readline()
                printed = time.perf_counter() - begin
                process.wait()
            if not line:
                raise RuntimeError(f"{name} printed nothing and ended with exit code {process.returncode}")
            times[name].append((printed, time.perf_counter() - begin))
    medians = {}
    for name, pairs in times.items():
        printed_all, ended_all = zip(*pairs[1:], strict=True)
        medians[name] = statistics.median(printed_all), statistics.median(ended_all)
    return medians


def report(quiet: Mapping[str, tuple[float, float]], loaded: Mapping[str, tuple[float, float]], processes: int) -> str:
    """The section of docs/benchmarks.md."""
    first = next(iter(quiet))
    header = ["", "until the answer", "ratio", "until the process ends", "ratio"]
    if loaded:
        header += [f"{processes} spinning processes, until the answer", "ratio"]
    rows = []
    for name, pair in quiet.items():
        row = [name]
        for place, value in enumerate(pair):
            row += [milliseconds(value), f"{value / quiet[first][place]:.2f}×"]
        if loaded:
            row += [milliseconds(loaded[name][0]), f"{loaded[name][0] / loaded[first][0]:.2f}×"]
        rows.append(row)
    return (
        f"## `panollava ask --model embedded`\n\nNew processes in turns: one question about a panorama of 2048 pixels."
        f"\n\n{table(header, rows)}\n\nGoal: ≤ 0.7× until the answer."
    )


def compare_answers(earlier: Path, count: int) -> None:
    """Compare what both versions answer about rendered scenes.

    Raises:
        RuntimeError: An answer differs.
    """
    found = []
    for root in (earlier, ROOT):
        names = ["embedded"] if (root / NAMES_MODELS).exists() else []
        done = subprocess.run(
            [sys.executable, "-c", ANSWERS, str(count), *names],
            capture_output=True,
            text=True,
            check=True,
            env=environment(root),
        )
        found.append(done.stdout.splitlines())
    different = [pair for pair in zip(*found, strict=True) if pair[0] != pair[1]]
    if different:
        raise RuntimeError(f"{len(different)} of {count} answers differ, first {different[0][0]}, {different[0][1]}")
    print(f"{count} answers about rendered scenes are the same, {len(set(found[0]))} of them different from each other")


if __name__ == "__main__":
    main()
