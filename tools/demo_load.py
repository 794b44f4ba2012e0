"""Parallel sessions on `panollava demo` with the embedded checkpoint: right answers, steady memory, a clean stop.

`python -m tools.demo_load [--questions 200] [--sessions 8]` starts the page's server. Each session loads a rendered
panorama of its own, whose answers are known from its record and differ from those of the other sessions, and asks about
it while the others ask, too. Memory is measured on Linux. The exit code is 1 if an answer is lost or is that of another
session, if memory grows by more than 5 % after the first quarter of the questions, or if the server does not end within
20 seconds.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tools.serve_load import memory

#: Largest growth of memory, and seconds until the server must have ended.
MAX_GROWTH, MAX_END = 0.05, 20.0
#: Colours of the object to the left and shapes of the one to the front right: each session has its own pair.
_COLOURS = ("purple", "green", "blue", "yellow", "orange", "red")
_SHAPES = ("sphere", "cube", "cylinder", "cone", "torus")


@dataclass
class Counts:
    """What the sessions saw."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Case:
    """A panorama and what is known about it: the answers to three questions."""

    path: Path
    answers: dict[str, str]


def cases(folder: Path, number: int) -> list[Case]:
    """As many panoramas with different answers; the model in this process answers all of them right."""
    from panollava_hf import Answerer
    from panollava_hf.panoshapes import render_scene, sample_scene
    from PIL import Image

    answerer = Answerer.load("embedded")
    base = sample_scene(1, "test", 0)
    tints = {o.colour: o.tint for index in range(20) for o in sample_scene(1, "test", index).objects}
    found: list[Case] = []
    for colour, shape in ((colour, shape) for shape in _SHAPES for colour in _COLOURS):
        if len(found) == number:
            break
        other_colour = _COLOURS[(_COLOURS.index(colour) + 1 + len(found) // 6) % len(_COLOURS)]
        other_shape = _SHAPES[(_SHAPES.index(shape) + 2) % len(_SHAPES)]
        left = replace(base.objects[1], colour=colour, shape=shape, tint=tints[colour], yaw_deg=-90.0, pitch_deg=0.0)
        front = replace(base.objects[2], colour=other_colour, shape=other_shape, tint=tints[other_colour])
        front = replace(front, yaw_deg=48.0, pitch_deg=0.0, distance=2.4)
        image = render_scene(replace(base, objects=(replace(left, distance=2.2), front)))
        answers = {
            "Which object is to the left?": f"{colour} {shape}",
            "Which object is to the front right?": f"{other_colour} {other_shape}",
            f"What colour is the {other_shape}?": other_colour,
        }
        if all(answerer.answer(image, question).text == answer for question, answer in answers.items()):
            path = folder / f"{colour}-{shape}.png"
            Image.fromarray(image).save(path)
            found.append(Case(path, answers))
    if len(found) < number:
        raise SystemExit(f"only {len(found)} panoramas have answers that the model gets right")
    return found


@contextlib.contextmanager
def server() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server on a free port, and its address."""
    command = [sys.executable, "-m", "panollava_hf", "demo", "--model", "embedded", "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        address = next((hit[0] for line in lines if (hit := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
        if address is None:
            raise SystemExit("the server did not start")
        threading.Thread(target=lambda: [print(line, end="", file=sys.stderr) for line in lines], daemon=True).start()
        yield process, address
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def session(address: str, case: Case, share: int, counts: Counts, process: "subprocess.Popen[str]") -> None:
    """One visitor: loads a panorama and asks a share of the questions."""
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False)
    client.predict(handle_file(case.path), api_name="/load_file")
    for number in range(share):
        question, answer = list(case.answers.items())[number % len(case.answers)]
        try:
            text = last_answer(client.predict(question, api_name="/ask"))
        except Exception as error:  # whatever the client raises, the question is lost
            with counts.lock:
                counts.lost.append(f"{question}: {type(error).__name__}: {str(error)[:200]}")
            continue
        with counts.lock:
            if text.lower().strip(" .") == answer:
                counts.right += 1
            else:
                counts.wrong.append(f"{case.path.stem}: {question} -> {text[:100]!r}, expected {answer!r}")
            counts.sizes += [size for size in [memory(process)] if size is not None]


def last_answer(reply: Any) -> str:
    """The text of the last answer in the chat, which is the first thing that the event returns."""
    turns = reply[0]["value"] if isinstance(reply[0], dict) else reply[0]
    content = turns[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def main(arguments: list[str] | None = None) -> int:
    """Run the sessions and print what they saw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=8)
    options = parser.parse_args(arguments)
    counts, share = Counts(), -(-options.questions // options.sessions)
    with tempfile.TemporaryDirectory() as folder, server() as (process, address):
        known = cases(Path(folder), options.sessions)
        begin = time.monotonic()
        threads = [threading.Thread(target=session, args=(address, case, share, counts, process)) for case in known]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - begin
        process.send_signal(signal.SIGTERM if os.name != "nt" else signal.CTRL_C_EVENT)
        stopping = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(MAX_END)
        code, ended = process.poll(), time.monotonic() - stopping
    total = share * options.sessions
    sizes = counts.sizes[len(counts.sizes) // 4 :]
    growth = max(sizes) / sizes[0] - 1 if sizes else 0.0
    lost = total - counts.right - len(counts.wrong)
    print(
        f"{total} questions of {options.sessions} sessions in {seconds:.0f} s: {counts.right} right answers, ", end=""
    )
    print(f"{len(counts.wrong)} wrong or of another session, {lost} lost")
    print("".join(f"{line}\n" for line in [*counts.wrong[:5], *counts.lost[:5]]), end="")
    shown = f"{sizes[0]:.0f} MB, at most {100 * growth:+.1f} % later" if sizes else "not measured"
    print(f"memory after a quarter of the questions: {shown}")
    print(f"end: exit code {code} after {ended:.1f} s")
    return int(counts.right != total or growth > MAX_GROWTH or code != 0)


if __name__ == "__main__":
    sys.exit(main())
