"""A chat completion request in OpenAI's form, checked, as what the model needs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from panollava_hf._shown import listed, shown
from panollava_hf.serving._images import image_bytes
from panollava_hf.serving._settings import RequestError, ServerSettings

#: Fields that change nothing here, whatever their value is.
_WITHOUT_EFFECT = (
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    "verbosity",
)
#: Fields that are not supported, with the values that ask for nothing.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
}
_READ = (
    *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
    *("temperature", "top_p", "top_k", "seed", "stop"),
)
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
#: OpenAI's limit of stop texts, and the longest one in characters.
_MAX_STOPS, _MAX_STOP_LENGTH = 4, 1000


@dataclass(frozen=True)
class ChatRequest:
    """A request.

    Attributes:
        messages: Messages for the chat template; an image is `{"type": "image"}`.
        images: The image files, in the order of the messages.
        max_tokens: Maximum length of the answer, in tokens.
        sampling: Arguments of `generate`; empty: greedy.
        seed: Seed of the sampling; None: any.
        stop: Texts that end the answer and are not part of it.
        stream: Whether the answer comes piece by piece.
        with_usage: Whether a stream ends with the number of tokens.
    """

    messages: list[dict[str, Any]]
    images: list[bytes] = field(repr=False)
    max_tokens: int
    sampling: dict[str, Any]
    seed: int | None
    stop: tuple[str, ...]
    stream: bool
    with_usage: bool

    @property
    def question(self) -> str:
        """The text of the last message."""
        return "\n".join(part["text"] for part in self.messages[-1]["content"] if part["type"] == "text")


def read_request(body: Any, model: str, settings: ServerSettings) -> ChatRequest:
    """Check a request.

    Args:
        body: The JSON of the request.
        model: Name of the model that is served.
        settings: What the server accepts.

    Raises:
        RequestError: The request cannot be answered; the message says which field is wrong and what is expected.

    Example:
        >>> body = {"model": "panollava", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
        >>> read_request(body, "panollava", ServerSettings()).max_tokens
        3
    """
    if not isinstance(body, dict):
        raise RequestError(f"the body of the request must be a JSON object, got {shown(body)}")
    _check_fields(body)
    asked = body.get("model", model)
    if asked != model:
        raise RequestError(f"the model {shown(asked)} does not exist here; this server has {model!r}", 404)
    messages, images = _messages(body.get("messages"), settings)
    most = body.get("max_completion_tokens")
    most = most if most is not None else body.get("max_tokens")
    stream = body.get("stream") or False
    if not isinstance(stream, bool):
        raise RequestError(f"stream must be true or false, got {shown(stream)}")
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise RequestError(f"stream_options must be an object, got {shown(options)}")
    return ChatRequest(
        messages,
        images,
        settings.default_tokens if most is None else _whole("max_tokens", most, 1, 1 << 20),
        _sampling(body),
        None if body.get("seed") is None else _whole("seed", body["seed"], -(1 << 63), (1 << 63) - 1),
        _stops(body.get("stop")),
        stream,
        bool(options.get("include_usage")),
    )


def _check_fields(body: Mapping[str, Any]) -> None:
    unknown = [name for name in body if name not in (*_READ, *_WITHOUT_EFFECT, *_NEUTRAL) and body[name] is not None]
    if unknown:
        names = listed([shown(name) for name in unknown], 4)
        raise RequestError(f"unknown or unsupported fields of the request: {names}; leave them out")
    for name, neutral in _NEUTRAL.items():
        value = body.get(name)
        if value is not None and not any(value == one for one in neutral):
            raise RequestError(f"{name} is not supported by this server, got {shown(value)}; leave it out")


def _messages(messages: Any, settings: ServerSettings) -> tuple[list[dict[str, Any]], list[bytes]]:
    if not isinstance(messages, list) or not messages:
        raise RequestError(f"messages must be a list with at least one message, got {shown(messages)}")
    read: list[dict[str, Any]] = []
    addresses: list[Any] = []
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            raise RequestError(f"message {number} must be an object with role and content, got {shown(message)}")
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise RequestError(f"message {number} has the role {shown(role)}; expected system, user or assistant")
        read.append({"role": _ROLES[role], "content": _content(message.get("content"), number, role, addresses)})
    if read[-1]["role"] != "user":
        raise RequestError(f"the last message has the role {read[-1]['role']!r}; expected a question of the user")
    if not any(part["type"] == "image" or part["text"].strip() for part in read[-1]["content"]):
        raise RequestError("the last message has no text; write a question")
    if len(addresses) > settings.max_panoramas:
        raise RequestError(
            f"the request has {len(addresses)} panoramas, this server reads at most {settings.max_panoramas} in a "
            "request; send one request for each"
        )
    return read, [image_bytes(address, settings.max_image_bytes) for address in addresses]


def _content(content: Any, number: int, role: str, addresses: list[Any]) -> list[dict[str, Any]]:
    """The parts of a message for the chat template. The addresses of its images are added to `addresses`."""
    if isinstance(content, str):
        return [{"type": "text", "text": _text(content, number)}]
    if not isinstance(content, list):
        raise RequestError(f"the content of message {number} must be a text or a list of parts, got {shown(content)}")
    parts: list[dict[str, Any]] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            parts.append({"type": "text", "text": _text(part.get("text"), number)})
        elif kind == "image_url" and role == "user":
            image = part.get("image_url")
            addresses.append(image.get("url") if isinstance(image, dict) else image)
            parts.append({"type": "image"})
        elif kind == "image_url":
            raise RequestError(f"message {number} of the role {role!r} has an image; only the user can send images")
        else:
            got = shown(kind if isinstance(part, dict) else part)
            raise RequestError(f"message {number} has a part of the type {got}; expected 'text' or 'image_url'")
    return parts


def _text(text: Any, number: int) -> str:
    if not isinstance(text, str):
        raise RequestError(f"a text of message {number} must be a string, got {shown(text)}")
    return text


def _sampling(body: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `generate`. Decoding is greedy unless a temperature above 0 is given."""
    temperature = _number("temperature", body.get("temperature"), 0.0, 2.0)
    top_p, top_k = _number("top_p", body.get("top_p"), 0.0, 1.0), body.get("top_k")
    if top_k is not None:
        top_k = _whole("top_k", top_k, -1, 1 << 20)
    if not temperature:
        return {}
    found: dict[str, Any] = {"do_sample": True, "temperature": temperature, "top_k": max(top_k or 0, 0)}
    return found if top_p is None else found | {"top_p": max(top_p, 1e-6)}


def _number(name: str, value: Any, least: float, most: float) -> float | None:
    if value is None:
        return None
    valid = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not valid or not least <= value <= most:
        raise RequestError(f"{name} must be a number from {least:g} to {most:g}, got {shown(value)}")
    return float(value)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RequestError(f"{name} must be a whole number from {least} to {most}, got {shown(value)}")
    return value


def _stops(stop: Any) -> tuple[str, ...]:
    texts = [] if stop is None else [stop] if isinstance(stop, str) else stop
    valid = isinstance(texts, list) and len(texts) <= _MAX_STOPS
    if not valid or not all(isinstance(text, str) and 0 < len(text) <= _MAX_STOP_LENGTH for text in texts):
        raise RequestError(f"stop must be a text or a list of up to {_MAX_STOPS} texts, got {shown(stop)}")
    return tuple(texts)
