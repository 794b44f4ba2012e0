"""A chat about a panorama in a terminal."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from panollava_geometry.cli import echo, error_line

from panollava_hf import _console
from panollava_hf._errors import PanoLLaVaError, UsageError, reason
from panollava_hf._shown import shortened
from panollava_hf.cli._history import history
from panollava_hf.cli._printing import Streamed, print_notes

if TYPE_CHECKING:
    from panollava_geometry import ViewPlan
    from torch import Tensor

    from panollava_hf.asking import Answer, Answerer, Conversation
    from panollava_hf.asking._panorama import Panorama

PROMPT = "> "
HELP = """\
Write a question. Later questions may refer to earlier ones.
/views          list the views that the model received with the last question, and where they look
/views FOLDER   save them as images, with a contact sheet
/reset          forget the conversation
/help           print this help
/quit           end, as Ctrl-D does
Ctrl-C stops an answer."""


def chat(answerer: "Answerer", panorama: "Panorama", *, max_new_tokens: int) -> None:
    """Read questions and print answers until the end of the input.

    Args:
        answerer: The model.
        panorama: The panorama, prepared by the answerer.
        max_new_tokens: Maximum length of an answer, in tokens.
    """
    from panollava_hf.asking import Conversation

    conversation = Conversation(answerer, panorama)
    last: tuple[str, Answer] | None = None
    _console.say("Ask about the panorama. /help lists the commands; Ctrl-D ends.")
    with _interrupts_stop_answers(), history() as remember:
        while True:
            try:
                line = input(PROMPT).strip()
            except EOFError:
                echo("")
                return
            except KeyboardInterrupt:
                echo("")
                continue
            except UnicodeDecodeError:
                _console.note("this line is not text in UTF-8; write it again.")
                continue
            if not line:
                continue
            remember(line)
            command, _, argument = line.partition(" ")
            if command == "/quit":
                return
            if command == "/reset":
                conversation.reset()
                last = None
                _console.say("The conversation is forgotten.")
            elif command == "/views":
                _views(answerer, panorama, last, argument.strip())
            elif command == "/help":
                _console.say(HELP)
            elif command.startswith("/"):
                _console.note(f"unknown command {shortened(command, 40)}; /help lists the commands.")
            else:
                last = _answer(conversation, line, max_new_tokens) or last


def _answer(conversation: "Conversation", question: str, max_new_tokens: int) -> "tuple[str, Answer] | None":
    """Ask, and print the answer; the question and its answer, or None if it was stopped or failed, which is printed."""
    stream: Streamed | None = None
    try:
        with _console.status("Answering …") as spinner:
            stream = Streamed(getattr(spinner, "stop", lambda: None))
            answer = conversation.ask(question, on_text=stream, max_new_tokens=max_new_tokens)
        if answer.unknown:
            echo(error_line(answer.unknown), err=True)
        else:
            stream.end(answer.text)
            print_notes(answer)
        return question, answer
    except KeyboardInterrupt:
        if stream is not None:
            stream.stop()
        _console.note("the answer was stopped; this question is not part of the conversation.")
    except PanoLLaVaError as error:
        if stream is not None:
            stream.stop()
        echo(error_line(str(error)), err=True)
    return None


def _views(answerer: "Answerer", panorama: "Panorama", last: "tuple[str, Answer] | None", folder: str) -> None:
    """List or save the views of the last answer; before the first, those that the model will receive."""
    from panollava_hf._contact_sheet import save_views
    from panollava_hf._files import check_writable
    from panollava_hf.asking._directions import label

    plan, views = _first_views(answerer, panorama) if last is None else (last[1].plan, last[1].views)
    asked = [] if last is None else [(last[0], last[1].unknown or last[1].text)]
    if not folder:
        echo("\n".join(f"{number}: {label(view)}" for number, view in enumerate(plan, 1)))
        return
    place = Path(folder).expanduser()
    try:
        check_writable(place)
        written = save_views(views, plan, place, panorama=panorama.image, answers=asked)
    except (UsageError, RuntimeError) as error:  # `expanduser` raises a RuntimeError if there is no such user
        _console.note(f"/views {folder}: {error}")
    except OSError as error:
        _console.note(f"/views {folder}: the images cannot be saved ({reason(error)}).")
    else:
        _console.say(f"Wrote {len(written)} images to {place}/")


def _first_views(answerer: "Answerer", panorama: "Panorama") -> "tuple[ViewPlan, Tensor]":
    if answerer.chat.family.reads_panoramas:
        return panorama.memo["plan"], panorama.memo["views"]
    return answerer.look.plan, panorama.views(answerer.look.plan, answerer.look.size)


@contextmanager
def _interrupts_stop_answers() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, every time, instead of ending the command."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
