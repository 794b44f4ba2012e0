"""What every kind of model can do: read chat messages with images and reply."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from panollava_hf._errors import ChatError
from panollava_hf.asking._families import Family

Message = dict[str, Any]
#: Called with each piece of a reply as soon as it is there.
OnText = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """One call of a model.

    Attributes:
        messages: Messages in OpenAI's form. Images are `image_url` parts with JPEG data URLs; a model that reads
            panoramas itself gets one part `{"type": "panorama", "panorama": Panorama}` instead.
        max_new_tokens: Maximum length of the reply, in tokens.
        key: Requests of one run with equal keys are sent once.
        final: Whether the reply is the answer for the user, which may be streamed.
        largest: A reply after which the most further calls and tokens follow, for estimates of the cost; None if the
            cost does not depend on the reply.
        other: Another reply after which more tokens may follow than after `largest`.
        generation: Further arguments of `generate`, such as `temperature`.
        purpose: What it is for, in a word or two, for reports of the cost.
    """

    messages: Sequence[Message]
    max_new_tokens: int
    key: Hashable = None
    final: bool = False
    largest: str | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    other: str | None = None
    purpose: str = ""


@dataclass(frozen=True)
class Reply:
    """A reply and what it cost.

    Attributes:
        text: The reply without its reasoning.
        prompt_tokens: Tokens of the prompt, images included; None if the model does not say.
        image_tokens: Tokens of the images in the prompt; None if not known.
        new_tokens: Tokens that were generated; None if the model does not say.
        reasoning: Reasoning that came before the reply; empty where there was none.
    """

    text: str
    prompt_tokens: int | None = None
    image_tokens: int | None = None
    new_tokens: int | None = None
    reasoning: str = ""


@dataclass(frozen=True)
class PromptTokens:
    """Length of a prompt: all of its tokens, and those of its images; None where that is not known."""

    prompt: int | None
    image: int | None


class Chat(Protocol):
    """A model that replies to chat messages: a PanoLLaVA checkpoint, a model of transformers, or an endpoint.

    Attributes:
        name: Folder, Hub id, or the name of a model at an endpoint.
        family: How this kind of model is shown a panorama.
        device: Where it runs, for reports.
        dtype: Its floating-point type, for reports.
        trained: False if its answers cannot be grounded in the image.
    """

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> Family: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def trained(self) -> bool: ...

    def reply(self, requests: Sequence[Request], *, on_text: OnText | None = None) -> "list[Reply | ChatError]":
        """Reply to several requests, in order; a request that failed in the end has its error in its place.

        Args:
            requests: The requests.
            on_text: Receives the reply piece by piece; for a single request only.
        """
        ...

    def count(self, request: Request) -> PromptTokens:
        """The length of a prompt, counted as the model would see it, without running the model."""
        ...

    def fingerprint(self) -> str | None:
        """What identifies the weights, for results that are continued later; None if that is not known."""
        ...
