"""Models behind an OpenAI-compatible endpoint: vLLM, llama.cpp, Ollama, LM Studio, `transformers serve`, hosted APIs.

The `openai` client (extra `[endpoint]`) sends the requests. Whether a failed one is repeated is decided here, because
replies also fail after their status: cut off, damaged, or with an error inside.
"""

import hashlib
import math
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import ChatDefaults, OnText, PromptTokens, Reply, Request, total
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.models._reasoning import Visible, without_reasoning
from panollava_hf.asking.models.endpoint._address import hidden_in_answer, read_address, usable_key, words
from panollava_hf.asking.models.endpoint._arguments import client_arguments, not_taken
from panollava_hf.asking.models.endpoint._client import body, connect, offered
from panollava_hf.asking.models.endpoint._faults import Fault
from panollava_hf.asking.models.endpoint._image_tokens import image_sizes, image_tokens
from panollava_hf.asking.models.endpoint._model_names import family_named
from panollava_hf.asking.models.endpoint._reading import Gathered, read
from panollava_hf.asking.models.endpoint._workers import in_order

#: Timeout of a request in seconds. A request that takes longer is repeated once.
TIMEOUT = 180.0
#: How often a request is repeated after a failure that may pass.
MAX_RETRIES = 4
#: Requests at the same time.
CONCURRENCY = 6
#: Tokens for the reasoning of a model that reasons, in calls whose reply is short.
_REASONING_TOKENS = 2048
#: Failures that concern all requests, also after others were answered: key, credit, proxy.
_WHOLE = (401, 402, 407)
#: Statuses of a server that is overloaded, or of a proxy whose server is down.
_UNAVAILABLE = (429, 502, 503, 504)
_FILTERED = ("content_filter", "safety", "prohibited_content", "blocklist", "recitation")


class EndpointChat(ChatDefaults):
    """An OpenAI-compatible endpoint.

    Args:
        model: Name of the model at the endpoint.
        base_url: Address of the endpoint, usually ending in `/v1`. User and password in it are sent as basic
            authorization, arguments of its query with each request; neither is printed.
        api_key: The key; default: the environment's `OPENAI_API_KEY`. Local servers need none.
        timeout: Timeout of a request in seconds.
        max_retries: How often a request is repeated after a failure that may pass.
        concurrency: Number of requests at the same time, of all threads together. The first request of all is sent
            alone, so that a wrong key or name is noticed once.
        others: Options of local models, such as `device`; only None.

    Raises:
        ChatError: The package `openai` is not installed, the address is not http(s), or a value is out of range.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        max_retries: int = MAX_RETRIES,
        concurrency: int = CONCURRENCY,
        **others: Any,
    ) -> None:
        useless = [name for name, value in others.items() if value is not None]
        if useless:
            raise ChatError(f"{', '.join(useless)[:80]}: the server decides; leave this out with --base-url")
        if not model.strip():
            raise ChatError("the name of the model at the endpoint is empty; expected --model NAME")
        for name, value, least in (
            ("timeout", timeout, 0.001),
            ("max_retries", max_retries, 0),
            ("concurrency", concurrency, 1),
        ):
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= least):
                raise ChatError(f"{name} must be a number of at least {least}, got {str(value)[:40]!r}")
        self._address = read_address(base_url)
        key = usable_key(api_key if api_key is not None else os.environ.get("OPENAI_API_KEY"))
        self._secrets = tuple(filter(None, (key, *self._address.secrets)))
        self.name, self.timeout, self.max_retries = model, timeout, max_retries
        self.concurrency = self.batch_size = int(concurrency)
        self.family = family_named(model)
        self.device, self.dtype, self.trained = self._address.url, "unknown", True
        self._free = threading.BoundedSemaphore(self.concurrency)
        self._beginning, self._begun = threading.Lock(), False
        self._answers = 0
        #: Whether a later call asks a server again that had no such model or path. Jobs call from many threads at once.
        self.tries_again = True
        self._stopped: Fault | None = None
        #: What this endpoint turned out not to take.
        self._without: set[str] = set()
        self._reasons = False
        self._client = connect(self._address, key, timeout, self._clean)

    def __repr__(self) -> str:
        return f"EndpointChat({self.name!r}, {self._address.url!r})"

    def reply(self, requests: Sequence[Request], *, on_text: OnText | None = None) -> list[Reply | ChatError]:
        """Reply to several requests, in order; see `Chat.reply`.

        After a failure that concerns all requests, such as a refused key, no further ones are sent; each gets the
        error.

        Raises:
            ChatError: An argument for the generation is not known.
        """
        if on_text is not None and len(requests) != 1:
            raise ValueError(f"one request can be streamed at a time, got {len(requests)}")
        for request in requests:
            self._arguments(request)
        lasting = (401, 403) if self.tries_again else (401, 403, 404)
        if self._stopped is not None and self._stopped.status not in lasting:
            self._stopped = None
        if on_text is not None:
            return [self._outcome(requests[0], on_text)]
        return in_order(self._first_alone, requests, self.concurrency)

    def prepare(self, panorama: Panorama) -> None:
        """What a server gets whose model reads panoramas: the whole panorama as one image."""
        if self.family.reads_panoramas and "views" not in panorama.memo:
            plan, views = panorama.whole()
            panorama.memo |= {"views": views, "plan": plan}

    def count(self, request: Request) -> PromptTokens:
        """Tokens of the images by the family's formula. The text is counted by the server only, so `prompt` is None."""
        if self.family.reads_panoramas:  # only the server knows the views of its checkpoint
            return PromptTokens(None, None)
        found = [image_tokens(self.family.name, self.name, size) for size in image_sizes(request)]
        return PromptTokens(None, total(found))

    def fingerprint(self) -> str | None:
        """Digest of the address without secrets and the name of the model; the weights are not known."""
        return hashlib.sha256(f"{self._address.url}\n{self.name}".encode()).hexdigest()

    def _first_alone(self, request: Request) -> Reply | ChatError:
        """The outcome of a request; as long as the first request of all is under way, the others wait for it."""
        if not self._begun:
            with self._beginning:
                if not self._begun:
                    outcome = self._outcome(request)
                    self._begun = True
                    return outcome
        return self._outcome(request)

    def _outcome(self, request: Request, on_text: OnText | None = None) -> Reply | ChatError:
        """A reply, after repeating the request as often as it makes sense, or the error."""
        tries, before = 0, self._answers
        while True:
            if self._stopped is not None:
                return self._error(self._stopped)
            shown = _Shown(on_text, self.name, self._secrets)
            arguments = self._arguments(request, stream=on_text is not None)
            fault = self._once(request, arguments, shown)
            if isinstance(fault, Reply):
                self._answers += 1
                return fault
            self._without |= not_taken(request, fault.status, fault.words)
            if not shown.any and self._arguments(request, stream=on_text is not None) != arguments:
                continue
            most = min(1, self.max_retries) if fault.timed_out else self.max_retries
            if not fault.again or shown.any or tries >= most:
                break
            time.sleep(fault.wait or min(8.0, 0.5 * 2**tries) * random.uniform(0.75, 1.0))
            tries += 1
        if fault.no_model:
            fault.text += offered(self._client, self._clean)
        lost = fault.status is None and self._answers == before
        if fault.whole and (fault.status in _WHOLE or lost or not self._answers):
            self._stopped = fault
        return self._error(fault)

    def _once(self, request: Request, arguments: Mapping[str, Any], shown: "_Shown") -> Reply | Fault:
        """One request."""
        with self._free:
            pieces = body(self._client, arguments, self._clean)
            try:
                gathered = read(pieces, timeout=self.timeout, clean=self._clean, on_text=shown.add)
                return self._judged(gathered, request, shown)
            except Fault as fault:
                return fault
            finally:
                pieces.close()

    def _judged(self, found: Gathered, request: Request, shown: "_Shown") -> Reply:
        """The reply; a refusal, a reply that was filtered and one without text are faults.

        A checkpoint of `panollava serve` that does not know something has no text: that is a reply, as it is of a
        checkpoint in this process.
        """
        if found.refusal and found.unknown and (request.final or self.family.reads_panoramas):
            return self._unknown(found, request)
        if found.refusal:
            raise Fault(f"the model refused to answer: {self._clean(found.refusal)}")
        if found.finish is not None and found.finish.lower() in _FILTERED:
            raise Fault(f"the answer was removed by a content filter (finish_reason {self._clean(found.finish)})")
        text, thoughts = without_reasoning(found.text)
        reasoning = "\n".join(filter(None, (found.reasoning.strip(), thoughts)))
        self._reasons |= bool(reasoning) or (not text and found.finish == "length")
        if not text:
            if found.finish == "length":
                raise Fault(
                    f"{self._limit(request)} tokens were not enough for an answer after the model's reasoning; raise "
                    "--max-new-tokens"
                )
            if found.wants_tool:
                raise Fault("the model wants to call a tool instead of answering; ask in another way")
            if found.finish == "error":
                raise Fault("the server failed while it answered (finish_reason error); try again", again=True)
            if reasoning:
                raise Fault("the reply has reasoning but no answer; ask in another way")
            raise Fault("the reply has no text; ask in another way")
        text, reasoning = (hidden_in_answer(part, self._secrets) for part in (text, reasoning))
        shown.end(text)
        return Reply(text, found.prompt_tokens, self._images(found, request), found.new_tokens, reasoning)

    def _unknown(self, found: Gathered, request: Request) -> Reply:
        """The reply without a text of a checkpoint that does not know something."""
        return Reply(
            "",
            found.prompt_tokens,
            self._images(found, request),
            found.new_tokens,
            unknown_words=tuple(hidden_in_answer(word, self._secrets) for word in found.unknown.words),
            unknown_image=hidden_in_answer(found.unknown.image, self._secrets),
            unknown_question=found.unknown.question,
        )

    def _images(self, found: Gathered, request: Request) -> int | None:
        """Tokens of the images: as the server counts them, else by the family's formula."""
        images = found.image_tokens if found.image_tokens is not None else self.count(request).image
        if images is not None and found.prompt_tokens is not None and images > found.prompt_tokens:
            return None
        return images

    def _arguments(self, request: Request, *, stream: bool = False) -> dict[str, Any]:
        limit = self._limit(request)
        return client_arguments(request, self.name, limit, without=self._without, stream=stream)

    def _limit(self, request: Request) -> int:
        """Maximum length of a reply. Calls before the last one also get room for reasoning, if the model reasons."""
        return request.max_new_tokens + (_REASONING_TOKENS if self._reasons and not request.final else 0)

    def _error(self, fault: Fault) -> ChatError:
        error = ChatError(f"{self.name[:80]} at {self._address.url[:120]}: {fault.text}")
        if fault.whole and fault.status is None:
            error.scope = "unreachable"
        elif fault.whole and (fault.status in _WHOLE or not self._answers):
            error.scope = "endpoint"
        elif fault.timed_out or fault.status in _UNAVAILABLE or (fault.again and fault.status is None):
            error.scope = "unavailable"
        return error

    def _clean(self, text: str) -> str:
        return words(text, self._secrets)


class _Shown:
    """Hands the visible text of a reply to `on_text`, and records whether there was any."""

    def __init__(self, on_text: OnText | None, model: str, secrets: tuple[str, ...]) -> None:
        self._on_text, self._visible, self._secrets, self.any = on_text, Visible(model), secrets, False

    def add(self, piece: str) -> None:
        self._give(self._visible.add(piece))

    def end(self, text: str) -> None:
        self._give(self._visible.end(text))

    def _give(self, text: str) -> None:
        if text and self._on_text is not None:
            self.any = True
            self._on_text(hidden_in_answer(text, self._secrets))
