"""Read a reply in the OpenAI form and its dialects, within bounds.

Whether a reply is JSON or a stream of events is seen from the reply itself, because some servers send the one when
asked for the other. Reasoning comes in tags, in fields of its own or in parts of the content.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from panollava_hf._shown import shortened
from panollava_hf.asking._unknown import Unknown
from panollava_hf.asking.models.endpoint._faults import Fault, of_error, of_timeout, page_words

#: Largest reply that is read, in bytes. A stream has about 300 bytes per token.
MAX_BYTES = 32 << 20
#: Characters that would control a terminal.
_CONTROL = dict.fromkeys(code for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t")
#: Most unknown words that a server can report, and most characters of one.
_MAX_UNKNOWN, _MAX_UNKNOWN_LENGTH = 1000, 200
_NO_CHAT = "is this the address of a chat API? It usually ends in /v1"


@dataclass
class Gathered:
    """A reply as far as it has been read."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    unknown: Unknown = field(default_factory=Unknown)
    finish: str | None = None
    wants_tool: bool = False
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    image_tokens: int | None = None
    choices: int = 0
    done: bool = False
    streamed: bool = False


def read(
    pieces: Iterable[bytes],
    *,
    timeout: float,
    clean: Callable[[str], str],
    on_text: Callable[[str], None] | None = None,
) -> Gathered:
    """Read a reply.

    Args:
        pieces: The body, piece by piece.
        timeout: Longest time in seconds for a JSON reply, and between two events of a stream.
        clean: Makes a text of the server one short line without secrets.
        on_text: Receives the text of a stream, reasoning in tags included, as it arrives.

    Raises:
        Fault: It is not a reply, reports an error, is too large or does not end.
    """
    found = Gathered()
    buffer, size, last = bytearray(), 0, time.monotonic()
    for piece in pieces:
        size += len(piece)
        if size > MAX_BYTES:
            raise Fault(f"the reply is larger than {MAX_BYTES >> 20} MB; lower --max-new-tokens")
        if time.monotonic() - last > timeout:
            raise of_timeout()
        buffer += piece
        if not found.streamed:
            start = bytes(buffer[:64]).lstrip(b"\xef\xbb\xbf \t\r\n")
            found.streamed = start.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))
        if found.streamed:
            for failed, data in _events(buffer):
                last = time.monotonic()
                _event(failed, data, found, clean, on_text)
            if found.done:
                break
    if found.streamed:
        buffer += b"\n\n"
        for failed, data in _events(buffer):
            _event(failed, data, found, clean, on_text)
        if not found.done and found.finish is None:
            raise Fault("the reply was cut off; try again", again=True)
        if not found.choices:
            raise Fault(f"the reply has no choices; {_NO_CHAT}")
        return found
    text = bytes(buffer).decode("utf-8-sig", "replace").strip()
    if not text:
        raise Fault("the reply is empty; try again", again=True)
    if text.startswith("<"):
        raise Fault(f"the reply is {clean(page_words(text))!r}, not JSON; {_NO_CHAT}", status=200, whole=True)
    _take(_parsed(text, clean), found, clean, on_text)
    if not found.choices:
        raise Fault(f"the reply has no choices; {_NO_CHAT}")
    return found


def model_names(body: bytes) -> list[str]:
    """The names in a list of models; empty if it is not one."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return []
    data = found.get("data") if isinstance(found, dict) else None
    models = [model.get("id") for model in data if isinstance(model, dict)] if isinstance(data, list) else []
    return [name for name in models if isinstance(name, str)]


def _events(buffer: bytearray) -> Iterator[tuple[bool, str]]:
    """Take the complete events out of a buffer: whether each is an error, and its data."""
    lines: list[bytes] = []
    position = 0
    while (end := buffer.find(b"\n", position)) >= 0:
        line = bytes(buffer[position:end]).rstrip(b"\r")
        position = end + 1
        if line:
            lines.append(line)
            continue
        del buffer[:position]
        data = b"\n".join(part[5:].strip() for part in lines if part.startswith(b"data:"))
        failed = any(part[:6] == b"event:" and part[6:].strip() == b"error" for part in lines)
        lines, position = [], 0
        if data:
            yield failed, data.decode("utf-8", "replace")


def _event(
    failed: bool, data: str, found: Gathered, clean: Callable[[str], str], on_text: Callable[[str], None] | None
) -> None:
    if found.done:
        return
    if data.startswith("[DONE]"):
        found.done = True
        return
    reply = _parsed(data, clean)
    if failed:
        raise of_error(reply.get("error", reply) if isinstance(reply, dict) else reply, clean)
    _take(reply, found, clean, on_text)


def _parsed(text: str, clean: Callable[[str], str]) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    raise Fault(f"the reply is not valid JSON, it begins with {clean(text)[:60]!r}; try again", again=True)


def _take(reply: Any, found: Gathered, clean: Callable[[str], str], on_text: Callable[[str], None] | None) -> None:
    """Add one JSON object, a whole reply or a piece of one, to what has been read."""
    if not isinstance(reply, dict):
        raise Fault(f"the reply has no choices, it is a {type(reply).__name__}; {_NO_CHAT}")
    choices = reply.get("choices")
    if not isinstance(choices, list):
        choices = []
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    error = reply.get("error") or choice.get("error") or (reply if reply.get("object") == "error" else None)
    if not choices and error is None and isinstance(reply.get("detail"), (str, list)):
        error = reply
    if error:
        raise of_error(error, clean)
    _usage(reply.get("usage"), found)
    if not choices:
        return
    found.choices += 1
    message = choice.get("delta") or choice.get("message")
    message = message if isinstance(message, dict) else {}
    content = message.get("content")
    text, thoughts = _parts(choice.get("text") if content is None else content)
    for name in ("reasoning_content", "reasoning", "thinking"):
        field, inner = _parts(message.get(name))
        if field or inner:
            thoughts += field + inner
            break
    refusal = message.get("refusal")
    if isinstance(content, list):
        refusal = refusal or next(
            (part["refusal"] for part in content if isinstance(part, dict) and "refusal" in part), ""
        )
    found.text += text
    found.reasoning += thoughts
    found.refusal += refusal if isinstance(refusal, str) else ""
    found.unknown = _unknown(message.get("unknown")) or found.unknown
    found.wants_tool |= bool(message.get("tool_calls") or message.get("function_call"))
    finish = choice.get("finish_reason")
    found.finish = finish if isinstance(finish, str) else found.finish
    if text and on_text is not None:
        on_text(text)


def _unknown(value: Any) -> Unknown:
    """What the checkpoint of `panollava serve` does not know; nothing if another server means something else by it."""
    if not isinstance(value, dict):
        return Unknown()
    words = value.get("words")
    words = [word for word in words[:_MAX_UNKNOWN] if isinstance(word, str)] if isinstance(words, list) else []
    image = value.get("image")
    return Unknown(
        tuple(shortened(_parts(word)[0], _MAX_UNKNOWN_LENGTH) for word in words),
        shortened(_parts(image)[0], _MAX_UNKNOWN_LENGTH) if isinstance(image, str) else "",
        value.get("question") is True,
    )


def _parts(content: Any, depth: int = 0) -> tuple[str, str]:
    """Text and reasoning of a content, which is a text, a part or a list of parts."""
    if isinstance(content, str):
        return content.translate(_CONTROL).encode("utf-8", "replace").decode("utf-8"), ""
    if depth > 4:
        return "", ""
    if isinstance(content, list):
        both = [_parts(part, depth + 1) for part in content]
        return "".join(text for text, _ in both), "".join(thoughts for _, thoughts in both)
    if isinstance(content, dict):
        kind = str(content.get("type", "text"))
        inner = next(
            (content[name] for name in ("text", "thinking", "reasoning", "summary", "content") if name in content), ""
        )
        text, thoughts = _parts(inner, depth + 1)
        return ("", text + thoughts) if "thinking" in kind or "reasoning" in kind else (text, thoughts)
    return "", ""


def _usage(usage: Any, found: Gathered) -> None:
    if not isinstance(usage, dict):
        return
    details = usage.get("prompt_tokens_details")
    found.prompt_tokens = _count(usage.get("prompt_tokens"), found.prompt_tokens)
    found.new_tokens = _count(usage.get("completion_tokens"), found.new_tokens)
    found.image_tokens = _count(details.get("image_tokens") if isinstance(details, dict) else None, found.image_tokens)


def _count(value: Any, before: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else before
