"""What every kind of model can do: read chat messages with images and reply."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Message = dict[str, Any]
#: Called with each piece of a reply as soon as it is there.
OnText = Callable[[str], None]

_THINKING = re.compile(r"\A\s*<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """A reply and what it cost.

    Attributes:
        text: The reply without its reasoning.
        prompt_tokens: Tokens of the prompt, images included; None if the model does not say.
        new_tokens: Tokens that were generated; None if the model does not say.
        reasoning: Reasoning that came before the reply; empty where there was none.
    """

    text: str
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    reasoning: str = ""


class Chat(Protocol):
    """A model that replies to chat messages: a PanoLLaVA checkpoint, a model of transformers, or an endpoint."""

    name: str

    def reply(
        self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int, on_text: OnText | None = None
    ) -> list[Reply]:
        """Reply to several conversations, in order.

        Args:
            conversations: Messages in OpenAI's form; images are `image_url` parts.
            max_new_tokens: Maximum length of each reply, in tokens.
            on_text: Receives the reply piece by piece; for one conversation only.

        Raises:
            ChatError: The model did not reply to one of them.
        """
        ...


def without_reasoning(text: str) -> tuple[str, str]:
    """Split a reply into the reply proper and the reasoning in tags before it.

    Example:
        >>> without_reasoning("<think>A red door.</think> A door.")
        ('A door.', 'A red door.')
    """
    found = _THINKING.match(text)
    if found is None:
        return text.strip(), ""
    inner = re.sub(r"\A\s*<\w+>|</\w+>\Z", "", found[0])
    return text[found.end() :].strip(), inner.strip()
