"""Several questions about one panorama, each with the questions and answers before it."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

from panollava_hf._errors import ChatError
from panollava_hf.asking._answer import Answer
from panollava_hf.asking._answerer import Answerer
from panollava_hf.asking._chat import Message, OnText, Reply
from panollava_hf.asking._messages import check_question
from panollava_hf.asking.strategies import Look, Outcome, Steps
from panollava_hf.asking.strategies._look import finish

#: Earlier questions and answers that a model gets with a question.
MAX_TURNS = 8


class Conversation:
    """A conversation about one panorama.

    The first question runs the strategy. Each further one continues the messages of its last call, so that views are
    not described again. A PanoLLaVA checkpoint reads one question at a time and gets each one by itself.

    Args:
        answerer: The model and the strategy.
        panorama: What `Answerer.answer` takes.
        strategy: Another strategy than the answerer's.
        max_turns: Earlier questions and answers that the model gets with a question; older ones are left out.

    Raises:
        PanoramaError: The panorama cannot be read.
        ChatError: The model cannot be asked with this strategy.

    Example:
        >>> from panollava_hf import Answerer
        >>> from panollava_hf.asking import Conversation
        >>> import numpy as np
        >>> conversation = Conversation(Answerer.load("embedded"), np.full((64, 128, 3), 127, dtype=np.uint8))
        >>> answers = [conversation.ask(text, max_new_tokens=1) for text in ("How many cubes?", "And spheres?")]
        >>> [answer.calls for answer in answers]
        [1, 1]
    """

    def __init__(
        self, answerer: Answerer, panorama: Any, *, strategy: str | None = None, max_turns: int = MAX_TURNS
    ) -> None:
        if max_turns < 0:
            raise ValueError(f"max_turns must be 0 or more, got {max_turns}")
        self.answerer, self.strategy, self.max_turns = answerer, strategy or answerer.strategy, max_turns
        self.panorama = answerer.prepare(panorama, self.strategy)
        self._memo: dict[Hashable, Reply] = {}  # descriptions stay valid after `reset`
        self._first: Answer | None = None
        self._turns: list[tuple[str, str]] = []

    @property
    def turns(self) -> Sequence[tuple[str, str]]:
        """The questions and answers that the next question continues, oldest first."""
        return tuple(self._turns)

    def reset(self) -> None:
        """Forget all questions and answers. Descriptions of the views are kept."""
        self._first, self._turns = None, []

    def ask(
        self, question: str, *, on_text: OnText | None = None, max_new_tokens: int | None = None, **generation: Any
    ) -> Answer:
        """Ask the next question. If it fails, the conversation stays as it was.

        Args:
            question: The question.
            on_text: Receives the answer piece by piece.
            max_new_tokens: Maximum length of the answer, in tokens.
            generation: Further arguments of `generate`.

        Raises:
            TextError: The question is empty, too long, or not valid Unicode.
            ChatError: The model did not answer.
        """
        alone = self.answerer.chat.family.reads_panoramas
        if self._first is None or alone:
            (found,) = self.answerer.answer_all(
                [self.panorama],
                [question],
                [0],
                strategy=self.strategy,
                on_text=on_text,
                max_new_tokens=max_new_tokens,
                memo=self._memo,
                **generation,
            )
        else:
            check_question(question)
            look = self.answerer.look_for(max_new_tokens, generation)
            steps = self._continued(self._first, question, look)
            (found,) = self.answerer.answers_of([steps], self.strategy, on_text=on_text)
        if isinstance(found, ChatError):
            raise found
        if not alone:
            self._first = self._first or found
            self._turns.append((question, found.text))
        return found

    def _continued(self, first: Answer, question: str, look: Look) -> Steps:
        """One call with the images of the first question, the turns since, and the question."""
        kept, dropped = self._fitting(first.messages, question, look)
        messages = continued(first.messages, kept, question)
        outcome: Outcome = yield from finish(messages, first.views, first.plan, look, first.regions)
        if dropped:
            self._turns = kept
            which = "the oldest question and its answer" if dropped == 1 else f"the {dropped} oldest questions"
            return replace(outcome, note=f"the conversation became too long: {which} were left out")
        return outcome

    def _fitting(self, messages: Sequence[Message], question: str, look: Look) -> tuple[list[tuple[str, str]], int]:
        """The newest turns for which the model has room next to the question, and how many are left out."""
        turns = self._turns[max(0, len(self._turns) - self.max_turns) :]
        most = self.answerer.max_positions
        while most is not None and turns:
            length = self.answerer.prompt_tokens(continued(messages, turns, question))
            if length is None or length + look.max_new_tokens <= most:
                break
            turns = turns[1:]
        return turns, len(self._turns) - len(turns)


def continued(messages: Sequence[Message], turns: Sequence[tuple[str, str]], question: str) -> list[Message]:
    """Messages whose images are followed by other questions and answers.

    Args:
        messages: Messages whose last part is a question; it is replaced.
        turns: Earlier questions and their answers, oldest first.
        question: The question that comes last.
    """
    first, *further = [*(asked for asked, _ in turns), question]
    *system, user = messages
    content = [*user["content"][:-1], {"type": "text", "text": first}]
    found: list[Message] = [*system, {**user, "content": content}]
    for (_, answer), text in zip(turns, further, strict=True):
        found.append({"role": "assistant", "content": answer})
        found.append({"role": "user", "content": text})
    return found
