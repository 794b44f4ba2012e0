"""Models behind an OpenAI-compatible endpoint: vLLM, llama.cpp, Ollama, LM Studio, `transformers serve`, hosted APIs.

The `openai` client (extra `[endpoint]`) sends the requests, waits between retries and reads streams. Here its failures
become one line, in which neither the key nor the query of the address appears.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from panollava_hf._errors import ChatError, one_line
from panollava_hf.asking._chat import Message, OnText, Reply, without_reasoning

#: Seconds until a request is given up.
TIMEOUT = 180.0
#: A request is repeated after 408, 409, 429, 500 and above, and when the connection fails.
MAX_RETRIES = 4
#: Requests at the same time.
CONCURRENCY = 4


class EndpointChat:
    """An OpenAI-compatible endpoint.

    Args:
        model: Name of the model at the endpoint.
        base_url: Address of the endpoint, usually ending in `/v1`.
        api_key: The key; default: the environment's `OPENAI_API_KEY`. Local servers need none.
        timeout: Seconds until a request is given up.
        max_retries: How often a request is repeated.
        concurrency: Number of requests at the same time.

    Raises:
        ChatError: The package `openai` is not installed, or the address is not http(s).
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
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise ChatError("--base-url needs the package openai: pip install 'panollava-hf[endpoint]'") from error
        if not base_url.lower().startswith(("http://", "https://")):
            raise ChatError(f"--base-url must begin with http:// or https://, got {base_url[:80]!r}")
        self._openai = openai
        self._key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
        self.name, self.place, self.concurrency = model, base_url.split("?")[0].rpartition("@")[2], concurrency
        self._client = openai.OpenAI(base_url=base_url, api_key=self._key, timeout=timeout, max_retries=max_retries)

    def reply(
        self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int, on_text: OnText | None = None
    ) -> list[Reply]:
        """Reply to several conversations, in order; see `Chat.reply`."""
        if on_text is not None:
            if len(conversations) != 1:
                raise ValueError(f"one conversation can be streamed at a time, got {len(conversations)}")
            return [self._guarded(conversations[0], max_new_tokens, on_text)]
        with ThreadPoolExecutor(max(1, min(self.concurrency, len(conversations)))) as pool:
            jobs = [pool.submit(self._guarded, messages, max_new_tokens, None) for messages in conversations]
            try:
                return [job.result() for job in jobs]
            finally:
                pool.shutdown(cancel_futures=True)

    def _guarded(self, messages: Sequence[Message], max_new_tokens: int, on_text: OnText | None) -> Reply:
        """One request. Whatever the client raises becomes a `ChatError` without the key."""
        try:
            return self._ask(messages, max_new_tokens, on_text)
        except ChatError:
            raise
        except Exception as error:
            raise ChatError(f"{self.name} at {self.place}: {self._reason(error)}") from None

    def _ask(self, messages: Sequence[Message], max_new_tokens: int, on_text: OnText | None) -> Reply:
        request: dict[str, Any] = {
            "model": self.name,
            "messages": list(messages),
            "max_tokens": max_new_tokens,
            "temperature": 0,
        }
        if on_text is None:
            found = self._client.chat.completions.create(**request)
            if not getattr(found, "choices", None):
                raise ChatError(f"{self.name} at {self.place}: the reply holds no choices; is this address a chat API?")
            choice, usage = found.choices[0], found.usage
            text, refusal = choice.message.content, getattr(choice.message, "refusal", None)
            reasoning = getattr(choice.message, "reasoning_content", None) or getattr(choice.message, "reasoning", None)
            reason = choice.finish_reason
        else:
            text, refusal, reasoning, reason, usage = self._stream(request, on_text)
        if refusal:
            raise ChatError(f"{self.name} refused to answer: {' '.join(str(refusal).split())[:200]}")
        if reason == "content_filter":
            raise ChatError(f"{self.name} at {self.place}: the answer was removed by a content filter")
        if reason is None:
            raise ChatError(f"{self.name} at {self.place}: the answer was cut off; try again")
        answer, thoughts = without_reasoning(text or "")
        if not answer and reason == "length":
            raise ChatError(
                f"{self.name}: {max_new_tokens} tokens were not enough for an answer after the model's reasoning; "
                "raise --max-new-tokens"
            )
        return Reply(
            answer,
            getattr(usage, "prompt_tokens", None),
            getattr(usage, "completion_tokens", None),
            str(reasoning or thoughts),
        )

    def _stream(self, request: dict[str, Any], on_text: OnText) -> tuple[str, str, str, str | None, Any]:
        text, refusal, reasoning, reason, usage = "", "", "", None, None
        for chunk in self._client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        ):
            usage = chunk.usage or usage
            for choice in chunk.choices[:1]:
                text += choice.delta.content or ""
                refusal += getattr(choice.delta, "refusal", None) or ""
                reasoning += getattr(choice.delta, "reasoning_content", None) or ""
                reason = choice.finish_reason or reason
                if choice.delta.content:
                    on_text(choice.delta.content)
        return text, refusal, reasoning, reason, usage

    def _reason(self, error: Exception) -> str:
        openai = self._openai
        if isinstance(error, openai.APITimeoutError):
            return "no answer in time; is the server overloaded?"
        if isinstance(error, openai.AuthenticationError):
            return "the key was refused (401); set OPENAI_API_KEY"
        if isinstance(error, openai.RateLimitError):
            return "too many requests (429), also after waiting; try later, or with fewer requests at a time"
        if isinstance(error, openai.APIStatusError):
            return f"the server answered {error.status_code} ({self._redacted(error)})"
        if isinstance(error, openai.APIConnectionError):
            return f"the connection failed ({self._redacted(error.__cause__ or error)}); is the server running?"
        return f"the answer cannot be read ({self._redacted(error)})"

    def _redacted(self, error: BaseException) -> str:
        text = one_line(error)
        return text if len(self._key) < 5 else text.replace(self._key, "***")
