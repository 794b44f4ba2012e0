"""What each open page holds: its panorama, its chat and its running question. Nothing of it is written to a disk."""

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from panollava_hf.demo._stoppable import Control, StoppableChat

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.asking import Answer, Conversation


@dataclass
class Shown:
    """The panorama of a session.

    Attributes:
        image: `[3, H, 2H]` uint8.
        jpeg: The image for the viewer.
        name: What it is called in the page.
        token: Names it in the address of the image; nobody can guess it.
    """

    image: "Tensor"
    jpeg: bytes
    name: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))


@dataclass
class Session:
    """One open page.

    Attributes:
        shown: Its panorama.
        chat: The model that its conversation uses.
        conversation: The conversation about the panorama.
        settings: Model, strategy and plan of the conversation.
        turns: Questions and answers in the page.
        question: The last question that was answered.
        answer: Its answer.
        control: Stops the running question; None if none runs.
        used: When something last happened.
    """

    shown: Shown | None = None
    chat: StoppableChat | None = None
    conversation: "Conversation | None" = None
    settings: tuple[str, str, str] | None = None
    turns: list[dict[str, Any]] = field(default_factory=list)
    question: str = ""
    answer: "Answer | None" = None
    control: Control | None = None
    used: float = field(default_factory=time.monotonic)

    def show(self, shown: Shown) -> None:
        """Show another panorama: what was said about the one before is forgotten."""
        self.stop()
        self.shown = shown
        self.forget()

    def forget(self) -> None:
        """Forget the conversation."""
        self.stop()
        self.chat = self.conversation = self.settings = self.answer = None
        self.turns, self.question = [], ""

    def show_nothing(self) -> None:
        """Stop the running question, and drop the panorama and the conversation."""
        self.forget()
        self.shown = None

    def stop(self) -> None:
        """Stop the running question."""
        if self.control is not None:
            self.control.stop()


class Sessions:
    """All open pages by the hash that Gradio gives each.

    Args:
        most: Most sessions; a further one ends the one that was used least recently.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._all: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all.values()))

    def of(self, key: str | None) -> Session:
        """The session of a page, made when it is first asked for. Without a key, one that nothing else can reach."""
        if not key:
            return Session()
        with self._lock:
            session = self._all.setdefault(key, Session())
            session.used = time.monotonic()
            while len(self._all) > self._most:
                oldest = min(self._all, key=lambda name: self._all[name].used)
                self._all.pop(oldest).show_nothing()
            return session

    def end(self, key: str | None) -> None:
        """The page was closed: stop its question and drop all that it holds."""
        with self._lock:
            session = self._all.pop(key or "", None)
        if session is not None:
            session.show_nothing()

    def end_all(self) -> None:
        """The server stops."""
        for key in list(self._all):
            self.end(key)

    def jpeg(self, token: str) -> bytes | None:
        """The image that a token names; None if no session shows it."""
        for session in self:
            shown = session.shown
            if shown is not None and secrets.compare_digest(shown.token, token):
                return shown.jpeg
        return None
