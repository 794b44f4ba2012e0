"""Parallel clients on `panollava serve` with the embedded checkpoint: right answers, steady memory, a clean stop.

`python -m tools.serve_load [--seconds 120] [--clients 8]` starts a server, asks it about rendered scenes in whole and
streamed answers, and compares each answer with that of the model in this process. Every tenth request is refused and
every thirteenth client goes away. Memory is measured on Linux. The exit code is 1 if an answer is wrong, if memory
grows by more than 5 % after the first quarter of the time, or if the server does not end within 20 seconds.
"""

import argparse
import base64
import contextlib
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Largest growth of memory, and seconds until the server must have ended.
MAX_GROWTH, MAX_END = 0.05, 20.0
_SCENES = 6


@dataclass
class Counts:
    """What the clients saw."""

    right: int = 0
    refused: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def cases() -> list[tuple[str, str, str]]:
    """Data URLs of panoramas, questions, and the answers of the model in this process."""
    import numpy as np
    from panollava_hf import Answerer
    from panollava_hf.panoshapes import questions, render_scene, sample_scene
    from PIL import Image

    answerer = Answerer.load("embedded")
    found = []
    for index in range(_SCENES):
        scene = sample_scene(1, "test", index)
        image = render_scene(scene)
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
        for asked in questions(scene, np.random.default_rng(index))[:4]:
            found.append((url, asked.question, answerer.answer(image, asked.question).text))
    return found


@contextlib.contextmanager
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server on a free port."""
    command = [sys.executable, "-m", "panollava_hf", "serve", "embedded", "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        port = next((int(hit[1]) for line in lines if (hit := re.search(r"http://127\.0\.0\.1:(\d+)/", line))), None)
        if port is None:
            raise SystemExit("the server did not start")
        threading.Thread(target=lambda: [print(line, end="", file=sys.stderr) for line in lines], daemon=True).start()
        yield process, port
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def client(port: int, number: int, end: float, known: list[tuple[str, str, str]], counts: Counts) -> None:
    """Ask until the time is over."""
    turn = number
    while time.monotonic() < end:
        url, question, answer = known[turn % len(known)]
        turn += 1
        try:
            outcome = ask(port, url, question, stream=turn % 2 == 0, bad=turn % 10 == 0, leave=turn % 13 == 0)
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            outcome = f"{type(error).__name__}: {error}"
        with counts.lock:
            if outcome is None:
                counts.left += 1
            elif turn % 10 == 0 and outcome.startswith("400 "):
                counts.refused += 1
            elif outcome == answer:
                counts.right += 1
            else:
                counts.wrong.append(f"{question} -> {outcome[:200]!r}, expected {answer!r}")


def ask(port: int, url: str, question: str, *, stream: bool, bad: bool, leave: bool) -> str | None:
    """The answer to one request, the text of a refusal, or None if the client went away."""
    content = [{"type": "image_url", "image_url": {"url": url[: len(url) // 2] if bad else url}}] * (1 + bad)
    body = {"messages": [{"role": "user", "content": [*content, {"type": "text", "text": question}]}], "stream": stream}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        if leave and not bad:
            return None
        reply = connection.getresponse()
        text = reply.read().decode()
    finally:
        connection.close()
    if reply.status != 200:
        return f"{reply.status} {json.loads(text)['error']['message']}"
    if not stream:
        return str(json.loads(text)["choices"][0]["message"]["content"])
    parts = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(part["choices"][0]["delta"].get("content", "") for part in parts if part["choices"])


def memory(process: "subprocess.Popen[str]") -> float | None:
    """Resident memory of a process in MB; None where the system does not show it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run the clients and print what they saw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args(arguments)
    known, counts = cases(), Counts()
    with server() as (process, port):
        begin = time.monotonic()
        end = begin + options.seconds
        threads = [
            threading.Thread(target=client, args=(port, number * 5, end, known, counts))
            for number in range(options.clients)
        ]
        for thread in threads:
            thread.start()
        samples = []
        while time.monotonic() < end:
            time.sleep(min(1.0, options.seconds / 20))
            samples.append((time.monotonic() - begin, memory(process)))
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGTERM if os.name != "nt" else signal.CTRL_C_EVENT)
        stopping = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(MAX_END)
        code, seconds = process.poll(), time.monotonic() - stopping
    sizes = [(at, size) for at, size in samples if size is not None and at >= options.seconds / 4]
    growth = max(size for _, size in sizes) / sizes[0][1] - 1 if sizes else 0.0
    print(
        f"answers: {counts.right} right, {len(counts.wrong)} wrong; {counts.refused} refused, {counts.left} left early"
    )
    print("\n".join(counts.wrong[:5]), end="\n" if counts.wrong else "")
    shown = f"{sizes[0][1]:.0f} MB, at most {100 * growth:+.1f} % later" if sizes else "not measured"
    print(f"memory after a quarter of the time: {shown}")
    print(f"end: exit code {code} after {seconds:.1f} s")
    return int(bool(counts.wrong) or not counts.right or growth > MAX_GROWTH or code != 0)


if __name__ == "__main__":
    sys.exit(main())
