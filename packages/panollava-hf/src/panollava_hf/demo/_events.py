"""What happens when something in the page is used. Each method is one event; it returns or yields HTML and texts."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from panollava_geometry import PanoramaError
from panollava_geometry.addresses import untrusted_addresses

from panollava_hf._errors import PanoLLaVaError, one_line
from panollava_hf._shown import listed
from panollava_hf.asking import Conversation
from panollava_hf.asking._default_model import EMBEDDED
from panollava_hf.demo import _fragments as fragments
from panollava_hf.demo._finding import find, where_is
from panollava_hf.demo._line import Done, Progress
from panollava_hf.demo._loading import read_file, read_url
from panollava_hf.demo._models import Models, configured
from panollava_hf.demo._samples import SAMPLES, read_sample
from panollava_hf.demo._sessions import Session, Sessions, Shown
from panollava_hf.demo._settings import DemoSettings
from panollava_hf.demo._spots import HotSpot, spots_of
from panollava_hf.demo._stoppable import Control, StoppableChat, Stopped

if TYPE_CHECKING:
    from panollava_hf.asking import Answer

_log = logging.getLogger(__name__)
#: Errors whose message is a sentence for the page.
KNOWN = (PanoramaError, PanoLLaVaError)
NO_PANORAMA = "Choose a panorama first: a sample, a file or a URL."
RUNNING = "A question is being answered. Wait for the answer, or stop it."


@dataclass(frozen=True)
class Asked:
    """What a question found: the answer, its hot spots, and a note about them."""

    answer: "Answer"
    spots: Sequence[HotSpot]
    note: str = ""


class Events:
    """The events of a page.

    Args:
        models: The models.
        settings: The limits.
    """

    def __init__(self, models: Models, settings: DemoSettings) -> None:
        self.models, self.settings = models, settings
        self.samples = settings.samples or SAMPLES
        self.sessions = Sessions(settings.max_sessions)

    def load(self, key: str | None, read: Callable[[], Shown]) -> tuple[Session, str]:
        """Show another panorama.

        Args:
            key: The session.
            read: Reads it.

        Returns:
            The session, and the sentence for the page.
        """
        session = self.sessions.of(key)
        try:
            shown = read()
        except KNOWN as error:
            return session, fragments.message(fragments.sentence(error), "error")
        except Exception as error:  # an event of one page must not end in a window of Gradio without a sentence
            _log.exception("a panorama could not be loaded")
            text = f"The panorama could not be loaded ({type(error).__name__}: {one_line(error)})."
            return session, fragments.message(text, "error")
        session.show(shown)
        height, width = shown.image.shape[-2:]
        said = f"{shown.name}: {width} × {height} pixels. Look around, and ask."
        sample = self.samples.get(shown.name)
        if sample is not None and sample.file and self.models.names == [EMBEDDED]:
            said += " This is a photograph; the model was trained on rendered scenes, and reports it as unknown."
        return session, fragments.message(said)

    def load_file(self, key: str | None, path: str, shape: str) -> tuple[Session, str]:
        """Show an upload; its file is deleted."""
        return self.load(key, lambda: read_file(path, shape))

    def load_url(self, key: str | None, url: str, shape: str) -> tuple[Session, str]:
        """Show the image at a URL."""

        def read() -> Shown:
            with untrusted_addresses("panollava ask", private=self.settings.private_urls):
                return read_url(url, shape)

        return self.load(key, read)

    def load_sample(self, key: str | None, title: str) -> tuple[Session, str]:
        """Show a sample."""

        def read() -> Shown:
            if title not in self.samples:
                raise PanoramaError(f"there is no sample {str(title)[:60]!r}; choose one of the list")
            return read_sample(title, self.samples)

        return self.load(key, read)

    def stop(self, key: str | None) -> None:
        """Stop the running question of a session."""
        self.sessions.of(key).stop()

    def new_chat(self, key: str | None) -> Session:
        """Forget the conversation of a session; its panorama stays."""
        session = self.sessions.of(key)
        session.forget()
        return session

    async def ask(
        self, key: str | None, question: str, model: str, strategy: str, plan: str, max_new_tokens: int
    ) -> AsyncIterator[Progress | Done]:
        """Answer a question about the panorama of a session.

        Yields:
            Progress, then `Done` with an `Asked`.

        Raises:
            PanoLLaVaError: There is no panorama, a question is running, or there is no answer.
            Stopped: The user stopped it.
        """
        session = self.sessions.of(key)
        shown = self._free(session)
        text = question.strip()
        if not text:
            raise PanoLLaVaError("write a question first")
        line = self.models.line(model)
        control = session.control = Control()

        def compute(control: Control, on_text: Callable[[str], None]) -> Asked:
            conversation, chat = self._conversation(session, shown, (model, strategy, plan))
            chat.control = control
            answer = conversation.ask(text, on_text=on_text, max_new_tokens=max_new_tokens)
            return self._asked(text, answer, shown, conversation, control)

        async for event in self._run(session, line, compute, control):
            if isinstance(event, Done) and session.shown is shown:
                session.question, session.answer = text, event.value.answer
            yield event

    async def find(self, key: str | None, what: str, model: str) -> AsyncIterator[Progress | Done]:
        """Find something in the panorama of a session.

        Yields:
            Progress, then `Done` with a list of hot spots.

        Raises:
            PanoLLaVaError: As in `ask`.
            Stopped: The user stopped it.
        """
        session = self.sessions.of(key)
        shown = self._free(session)
        if not what.strip():
            raise PanoLLaVaError("write what to find first, such as 'the red door'")
        answerer = self.models.answerer(model)
        control = session.control = Control()

        def compute(control: Control, on_text: Callable[[str], None]) -> list[HotSpot]:
            chat = StoppableChat(answerer.chat)
            chat.control = control
            return find(answerer, chat, shown.image, what.strip())

        async for event in self._run(session, self.models.line(model), compute, control):
            yield event

    async def explain(self, key: str | None, model: str, method: str) -> AsyncIterator[Progress | Done]:
        """Compute which parts of the sphere the last answer of a session rests on.

        Yields:
            Progress, then `Done` with an `Evidence`.

        Raises:
            PanoLLaVaError: There is no answer, or as in `ask`.
            Stopped: The user stopped it.
        """
        session = self.sessions.of(key)
        shown = self._free(session)
        answer, question = session.answer, session.question
        if answer is None or session.settings is None:
            raise PanoLLaVaError("ask a question first; the evidence is for its answer")
        if answer.unknown:
            raise PanoLLaVaError(f"there is no answer to explain: {answer.unknown}")
        name, strategy, plan = session.settings
        answerer = self.models.answerer(name)
        control = session.control = Control()

        def compute(control: Control, on_text: Callable[[str], None]) -> Any:
            from panollava_hf.demo._evidence import evidence_of

            control.on_step("Computing the evidence")
            return evidence_of(answerer, control, (strategy, plan), shown.image, question, answer, method)

        async for event in self._run(session, self.models.line(name), compute, control):
            yield event

    def _free(self, session: Session) -> Shown:
        """The panorama of a session for which nothing runs.

        Raises:
            PanoLLaVaError: It has none, or a question runs.
        """
        if session.shown is None:
            raise PanoLLaVaError(NO_PANORAMA)
        if session.control is not None:
            raise PanoLLaVaError(RUNNING)
        return session.shown

    @staticmethod
    async def _run(
        session: Session, line: Any, compute: Callable[..., Any], control: Control
    ) -> AsyncIterator[Progress | Done]:
        try:
            async for event in line.run(compute, control):
                yield event
        finally:
            control.stop()
            if session.control is control:
                session.control = None

    def _conversation(
        self, session: Session, shown: Shown, settings: tuple[str, str, str]
    ) -> tuple[Conversation, StoppableChat]:
        """The conversation of a session; a new one if the model or how it is asked has changed."""
        if session.conversation is None or session.chat is None or session.settings != settings:
            answerer = self.models.answerer(settings[0])
            chat = StoppableChat(answerer.chat)
            conversation = Conversation(configured(answerer, chat, *settings[1:]), shown.image)
            if session.shown is shown:
                session.chat, session.conversation, session.settings = chat, conversation, settings
            return conversation, chat
        return session.conversation, session.chat

    @staticmethod
    def _asked(text: str, answer: "Answer", shown: Shown, conversation: Conversation, control: Control) -> Asked:
        """The hot spots of an answer. A model that answers in words is asked where the named objects are."""
        if answer.unknown:  # its text is a guess
            return Asked(answer, [])
        answerer, asked = conversation.answerer, list[str]()

        def ask_where(names: Sequence[str], turns: Sequence[float]) -> list[str]:
            control.on_step("Finding what the answer names")
            asked.extend(names)
            return where_is(answerer, shown.image, conversation.panorama, names, turns)

        try:
            own = answerer.chat.family.reads_panoramas
            spots = spots_of(text, answer, shown.image, ask_where if own else None)
        except Stopped:  # the answer is there; only its hot spots are not
            return Asked(answer, [], "The hot spots were not computed, because the question was stopped.")
        note = ""
        if asked:
            names = listed([f"the {name}" for name in dict.fromkeys(asked)], 3)
            note = (
                f"For the hot spots, the model was also asked where {names} {'is' if len(set(asked)) == 1 else 'are'}."
            )
        return Asked(answer, spots, note)
