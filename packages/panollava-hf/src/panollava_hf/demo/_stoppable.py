"""A model whose work can be stopped at any token, and that reports what it is doing.

Local models check for a stop after each token. A request to an endpoint is left by closing its connection at the next
piece of its reply, after which servers stop generating; the page goes on at once.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

from panollava_hf._errors import ChatError, PanoLLaVaError
from panollava_hf.asking._chat import Chat, OnText, PromptTokens, Reply, Request
from panollava_hf.asking._panorama import Panorama

#: Seconds between two looks at the stop sign while an endpoint works.
_LOOK_SECONDS = 0.1
#: What a request is for → what the page says while it runs.
_STEPS = {
    "describe": "Describing {count} views",
    "regions": "Choosing regions to look at more closely",
    "check": "Checking {count} regions",
    "answer": "Answering",
    "find": "Looking for it in {count} views",
    "look again": "Looking again in {count} views",
}


class Stopped(PanoLLaVaError):
    """The user stopped the work."""


class Control:
    """What a running question and the page tell each other.

    Args:
        on_step: Receives what the model does, in a few words.
    """

    def __init__(self, on_step: Callable[[str], None] = lambda text: None) -> None:
        self.on_step = on_step
        self._stop = threading.Event()

    def stop(self) -> None:
        """Stop the work. Safe in any thread."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether the work is to stop."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise if the work is to stop.

        Raises:
            Stopped: It is.
        """
        if self.stopped:
            raise Stopped("stopped")


class StoppableChat:
    """A `Chat` that works for one session at a time. It is what `chat` is, and `control` can stop it.

    Args:
        chat: The model.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat, self.control = chat, Control()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chat, name)

    def read(self, source: Any, *, max_width: int | None = None) -> Panorama:
        """As `Chat.read`."""
        return self._chat.read(source, max_width=max_width)

    def prepare(self, panorama: Panorama) -> None:
        """As `Chat.prepare`."""
        self.control.check()
        self._chat.prepare(panorama)

    def count(self, request: Request) -> PromptTokens:
        """As `Chat.count`."""
        return self._chat.count(request)

    def reply(self, requests: Sequence[Request], *, on_text: OnText | None = None) -> list[Reply | ChatError]:
        """As `Chat.reply`.

        Raises:
            Stopped: The user stopped the work.
        """
        control = self.control
        control.check()
        if requests:
            text = _STEPS.get(requests[0].purpose, "Answering")
            control.on_step(text.format(count=len(requests)) if len(requests) > 1 else text.partition(" {count}")[0])
        if self._chat.model is None:
            found = _remote(self._chat, requests, on_text, control)
        else:
            found = self._chat.reply([_watched(request, control) for request in requests], on_text=on_text)
        control.check()
        return found

    def reply_batches(
        self, requests: Sequence[Request], batches: Sequence[Sequence[int]]
    ) -> Iterator[list[Reply | ChatError]]:
        """As `Chat.reply_batches`; each batch is stopped like a reply."""
        for batch in batches:
            yield self.reply([requests[index] for index in batch])


def _watched(request: Request, control: Control) -> Request:
    """A request that ends after the next token when the work is to stop."""
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Watch(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            import torch

            return torch.full((len(input_ids),), control.stopped, device=input_ids.device, dtype=torch.bool)

        def __repr__(self) -> str:  # requests with equal settings are answered together
            return "Watch()"

    criteria = StoppingCriteriaList([*request.generation.get("stopping_criteria", ()), Watch()])
    return replace(request, generation={**request.generation, "stopping_criteria": criteria})


def _remote(
    chat: Chat, requests: Sequence[Request], on_text: OnText | None, control: Control
) -> list[Reply | ChatError]:
    """Replies of a model outside this process. Each request is streamed, so that it can be left at its next piece."""

    def check(piece: str) -> None:
        control.check()
        if on_text is not None:
            on_text(piece)

    def one(request: Request) -> Reply | ChatError:
        control.check()
        (found,) = chat.reply([request], on_text=check)
        return found

    # A pool of its own that is not waited for: a stopped request ends by itself at the next piece of its reply.
    pool = ThreadPoolExecutor(max(1, min(len(requests), chat.batch_size)), thread_name_prefix="panollava-endpoint")
    try:
        futures = [pool.submit(one, request) for request in requests]
        waiting: set[Future[Reply | ChatError]] = set(futures)
        while waiting:
            control.check()
            _, waiting = wait(waiting, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
