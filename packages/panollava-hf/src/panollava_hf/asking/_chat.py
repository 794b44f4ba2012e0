"""What every kind of model can do: read chat messages with images and reply."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from panollava_hf._errors import ChatError
from panollava_hf.asking._families import Family
from panollava_hf.asking._panorama import Panorama

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
        unknown_words: Words of the question that a model with a small vocabulary was never trained on.
        unknown_image: What the images are that the model was trained on, if this one is unlike them; else empty.
        unknown_question: Whether such a model was never trained on questions like this one, though it knows its words.
    """

    text: str
    prompt_tokens: int | None = None
    image_tokens: int | None = None
    new_tokens: int | None = None
    reasoning: str = ""
    unknown_words: tuple[str, ...] = ()
    unknown_image: str = ""
    unknown_question: bool = False


@dataclass(frozen=True)
class PromptTokens:
    """Length of a prompt: all of its tokens, and those of its images; None where that is not known."""

    prompt: int | None
    image: int | None


class Chat(Protocol):
    """A model that replies to chat messages: a PanoLLaVA checkpoint, a model of transformers, or an endpoint.

    A new kind derives from `ChatDefaults`, which has what most kinds leave as it is.

    Attributes:
        name: Folder, Hub id, or the name of a model at an endpoint.
        family: How this kind of model is shown a panorama.
        device: Where it runs, for reports.
        dtype: Its floating-point type, for reports.
        trained: False if its answers cannot be grounded in the image.
        model: The model, if it runs in this process, else None.
        processor: Its processor, if it runs in this process, else None.
        batch_size: Requests that it answers at the same time.
        max_positions: How many tokens it reads, with those of its answer; None if that is not known.
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
    @property
    def model(self) -> Any: ...
    @property
    def processor(self) -> Any: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def max_positions(self) -> int | None: ...

    def read(self, source: Any, *, max_width: int | None = None) -> Panorama:
        """Decode a panorama, no wider than is needed.

        Raises:
            PanoramaError: It cannot be read.
        """
        ...

    def prepare(self, panorama: Panorama) -> None:
        """Cut and keep what the model needs of a panorama, in its `memo`. Safe in another thread."""
        ...

    def reply(self, requests: Sequence[Request], *, on_text: OnText | None = None) -> list[Reply | ChatError]:
        """Reply to several requests, in order; a request that failed in the end has its error in its place.

        Args:
            requests: The requests.
            on_text: Receives the reply piece by piece; for a single request only.
        """
        ...

    def reply_batches(
        self, requests: Sequence[Request], batches: Sequence[Sequence[int]]
    ) -> Iterator[list[Reply | ChatError]]:
        """Reply batch by batch, as soon as a batch is answered.

        Args:
            requests: The requests.
            batches: Indices of the requests that are answered together. Requests in no batch are not answered.
        """
        ...

    def count(self, request: Request) -> PromptTokens:
        """The length of a prompt, counted as the model would see it, without running the model."""
        ...

    def fingerprint(self) -> str | None:
        """What identifies the weights, for results that are continued later; None if that is not known."""
        ...


class ChatDefaults:
    """What most kinds of models leave as it is: they keep nothing of a panorama and share no work between batches."""

    model: Any = None
    processor: Any = None
    batch_size: int = 4
    max_positions: int | None = None

    def read(self, source: Any, *, max_width: int | None = None) -> Panorama:
        """Decode a panorama, no wider than is needed."""
        return Panorama.load(source, max_width=max_width)

    def prepare(self, panorama: Panorama) -> None:
        """Nothing to do: the strategies cut the views."""

    def reply_batches(
        self: Chat, requests: Sequence[Request], batches: Sequence[Sequence[int]]
    ) -> Iterator[list[Reply | ChatError]]:
        """Reply batch by batch; see `Chat.reply_batches`."""
        for batch in batches:
            yield self.reply([requests[index] for index in batch])

    def count(self, request: Request) -> PromptTokens:
        """Not known before a request."""
        return PromptTokens(None, None)

    def fingerprint(self) -> str | None:
        """Not known."""
        return None


def parts_of(message: Message) -> list[dict[str, Any]]:
    """The content of a message as a list of parts.

    Example:
        >>> parts_of({"role": "user", "content": "Why?"})
        [{'type': 'text', 'text': 'Why?'}]
    """
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def total(counts: Iterable[int | None]) -> int | None:
    """The sum of counts; None if one of them is not known.

    Example:
        >>> total([1, 2]), total([1, None]), total([])
        (3, None, 0)
    """
    found = list(counts)
    known = [count for count in found if count is not None]
    return sum(known) if len(known) == len(found) else None
