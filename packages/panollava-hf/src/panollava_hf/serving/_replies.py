"""Replies in OpenAI's form."""

import json
import time
import uuid
from typing import Any

from panollava_hf.serving._generation import Ended
from panollava_hf.serving._settings import RequestError


class Replies:
    """The replies to one request.

    Args:
        model: Name of the model.
    """

    def __init__(self, model: str) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, text: str, ended: Ended) -> dict[str, Any]:
        """A complete answer."""
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if ended.unknown:
            message |= {"content": None, **refusal(ended)}
        choice = {"index": 0, "message": message, "finish_reason": ended.reason, "logprobs": None}
        return self._head | {"object": "chat.completion", "choices": [choice], "usage": usage(ended)}

    def piece(self, delta: dict[str, Any], reason: str | None = None) -> str:
        """A part of a streamed answer."""
        return self._event([{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}])

    def usage(self, ended: Ended) -> str:
        """The last part of a streamed answer: the number of tokens."""
        return self._event([], usage=usage(ended))

    def _event(self, choices: list[Any], **more: Any) -> str:
        return event(self._head | {"object": "chat.completion.chunk", "choices": choices} | more)


def event(content: Any) -> str:
    """An event of a stream."""
    return f"data: {content if isinstance(content, str) else json.dumps(content)}\n\n"


def refusal(ended: Ended) -> dict[str, Any]:
    """Fields of a message without an answer: OpenAI's `refusal`, and `unknown`, which `panollava ask` reads."""
    return {"refusal": ended.unknown.reason, "unknown": ended.unknown.to_dict()}


def usage(ended: Ended) -> dict[str, Any]:
    """The number of tokens."""
    prompt, new = ended.prompt_tokens, ended.new_tokens
    counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}
    return counts | {"prompt_tokens_details": {"image_tokens": ended.image_tokens}}


def error_body(error: RequestError) -> dict[str, Any]:
    """An error."""
    return {"error": {"message": str(error), "type": error.kind, "param": None, "code": error.status}}
