"""`panollava ask PANORAMA` in a terminal of its own (a pseudo-terminal)."""

import os
import re
import signal
import stat
import sys
import time

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals", allow_module_level=True)

PROGRAM = """
import sys, time
sys.path.insert(0, {folder!r})
from conftest import Echo, AT_ENDPOINT
from panollava_hf._errors import ChatError
from panollava_hf.asking import _answerer
from panollava_hf.asking._chat import Reply

class Slow(Echo):
    def _one(self, request, on_text):
        text = request.messages[-1]["content"]
        text = text if isinstance(text, str) else text[-1]["text"]
        if "slow" in text:
            on_text("Well ")
            time.sleep(60)
        turns = sum(message["role"] == "assistant" for message in request.messages)
        reply = super()._one(request, on_text)
        return reply if isinstance(reply, ChatError) else Reply(f"{{reply.text}} after {{turns}} turns")

_answerer.load_chat = lambda *names, **options: Slow()
from panollava_hf.cli import run
code = run(["ask", {panorama!r}, *AT_ENDPOINT, "--view-size", "32"])
print("CODE", code, flush=True)
"""


class Terminal:
    """A process whose standard streams are a pseudo-terminal."""

    def __init__(self, panorama, state, before=""):
        import pty

        program = before + PROGRAM.format(folder=os.path.dirname(__file__), panorama=str(panorama))
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.environ |= {"XDG_STATE_HOME": str(state), "TERM": "dumb", "PYTHONPATH": os.pathsep.join(sys.path)}
            os.execv(sys.executable, [sys.executable, "-c", program])
        self.seen = ""
        self.read = 0

    def expect(self, text, seconds=60.0):
        """Wait until a text appears after what was waited for before."""
        import select

        end = time.monotonic() + seconds
        while text not in self.seen[self.read :]:
            ready, _, _ = select.select([self.file], [], [], max(0.0, end - time.monotonic()))
            try:
                new = os.read(self.file, 65536) if ready else b""
            except OSError:  # Linux reports the end of the other side like this
                new = b""
            if not new:
                raise AssertionError(f"{text!r} did not appear in {self.seen[self.read :]!r}")
            self.seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", new.decode("utf-8", "replace"))
        self.read = self.seen.index(text, self.read) + len(text)

    def type(self, text):
        os.write(self.file, text.encode())

    def interrupt(self, text):
        """Press Ctrl-C until a text appears: Python misses a signal that comes just before it waits for a key."""
        for _ in range(9):
            self.type("\x03")
            try:
                return self.expect(text, seconds=5)
            except AssertionError:
                continue
        self.expect(text, seconds=5)

    def close(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.file)


@pytest.fixture
def terminal(panorama_file, tmp_path):
    opened = []

    def start(before=""):
        opened.append(Terminal(panorama_file, tmp_path / "state", before))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_chat(terminal, tmp_path):
    chat = terminal()
    chat.expect("/help lists the commands; Ctrl-D ends.")
    chat.expect("> ")
    chat.type("/views\n")
    chat.expect("1: left (yaw -90°, pitch 0°)")
    chat.expect("6: below (yaw 0°, pitch -90°)")
    chat.type("What is behind me?\n")
    chat.expect("What is behind me? (6 images) after 0 turns")
    chat.type("And left?\n")
    chat.expect("And left? (6 images) after 1 turns")
    chat.type("a slow one\n")
    chat.expect("Well ")
    chat.type("\x03")
    chat.expect("the answer was stopped")
    chat.type("fail\n")
    chat.expect("panollava: echo: the server answered 500")
    chat.type("Still there?\n")
    chat.expect("Still there? (6 images) after 2 turns")
    chat.type("/reset\n")
    chat.expect("forgotten")
    chat.type("Again?\n")
    chat.expect("Again? (6 images) after 0 turns")
    chat.type(f"/views {tmp_path}/my views\n")
    chat.expect("Wrote 7 images to")
    assert (tmp_path / "my views" / "contact_sheet.png").is_file()
    chat.type("/views /proc/nope\n")
    chat.expect("cannot be written")
    chat.type("/view\n")
    chat.expect("unknown command /view; /help")
    chat.expect("> ")  # else the terminal itself echoes what follows, before the prompt that is waited for below
    chat.type("half a question")
    chat.expect("half a question")
    chat.interrupt("> ")
    chat.type("/help\n")
    chat.expect("Ctrl-C stops an answer.")
    chat.expect("> ")
    chat.type("\x04")
    chat.expect("CODE 0")
    kept = tmp_path / "state" / "panollava" / "history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert kept.read_text().splitlines()[:3] == ["/views", "What is behind me?", "And left?"]


def test_the_arrow_keys_bring_earlier_questions_back(terminal, tmp_path):
    kept = tmp_path / "state" / "panollava" / "history"
    kept.parent.mkdir(parents=True)
    kept.write_text("\n".join(f"Old question {number}?" for number in range(1500)) + "\n")
    chat = terminal()
    chat.expect("> ")
    chat.type("\x1b[A\n")
    chat.expect("Old question 1499? (6 images)")
    chat.type("/quit\n")
    chat.expect("CODE 0")
    lines = kept.read_text().splitlines()
    assert len(lines) == 1000
    assert lines[-2:] == ["Old question 1499?", "/quit"]


def test_without_readline(terminal, tmp_path):
    chat = terminal("import sys\nsys.modules['readline'] = None\n")
    chat.expect("> ")
    chat.type("Hello?\n")
    chat.expect("Hello? (6 images)")
    chat.type("\x04")
    chat.expect("CODE 0")
    assert not (tmp_path / "state").exists()


def test_a_history_that_cannot_be_kept_is_a_note(terminal, tmp_path):
    (tmp_path / "state").write_text("a file, not a folder")
    chat = terminal()
    chat.expect("> ")
    chat.type("Hello?\n")
    chat.expect("Hello? (6 images)")
    chat.type("/quit\n")
    chat.expect("the history of questions cannot be saved")
    chat.expect("CODE 0")
