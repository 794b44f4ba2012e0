"""A request in the OpenAI form, and the arguments that some endpoints do not take."""

import math
import re
from collections.abc import Collection
from typing import Any

from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import Request
from panollava_hf.asking.models.endpoint._panoramas import as_sent

#: Arguments of the OpenAI form, and those that local servers take in addition.
ARGUMENTS = ("temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty", "reasoning_effort")
LOCAL_ARGUMENTS = ("top_k", "min_p", "repetition_penalty", "chat_template_kwargs", "mm_processor_kwargs")
#: Arguments of ours that an endpoint may not take; the request is then sent in another form.
_OURS = ("max_tokens", "temperature", "stream_options")


def client_arguments(
    request: Request, model: str, limit: int, *, without: Collection[str] = (), stream: bool = False
) -> dict[str, Any]:
    """The arguments of the client for a request.

    Args:
        request: The request.
        model: Name of the model.
        limit: Maximum length of the reply, in tokens.
        without: Arguments that this endpoint does not take.
        stream: Whether the reply comes piece by piece.

    Raises:
        ChatError: An argument for the generation is not known, or not finite.
    """
    generation = dict(request.generation)
    sampled = generation.pop("do_sample", None)
    if "stop_strings" in generation:
        generation["stop"] = generation.pop("stop_strings")
    for name, value in generation.items():
        if name not in (*ARGUMENTS, *LOCAL_ARGUMENTS):
            raise ChatError(
                f"generation argument {str(name)[:40]!r} does not work with endpoints; expected "
                f"{', '.join((*ARGUMENTS, *LOCAL_ARGUMENTS))}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ChatError(f"generation argument {name} must be finite, got {value}")
    arguments: dict[str, Any] = {"model": model, "messages": as_sent(request.messages)}
    arguments["max_completion_tokens" if "max_tokens" in without else "max_tokens"] = limit
    if not sampled and "temperature" not in without:
        arguments["temperature"] = 0
    arguments |= {name: value for name, value in generation.items() if name in ARGUMENTS}
    local = {name: value for name, value in generation.items() if name in LOCAL_ARGUMENTS}
    if local:
        arguments["extra_body"] = local
    if stream:
        arguments["stream"] = True
        if "stream_options" not in without:
            arguments["stream_options"] = {"include_usage": True}
    return arguments


def not_taken(request: Request, status: int | None, said: str) -> set[str]:
    """Arguments that an endpoint does not take, by the words of its error, and that the user did not ask for."""
    if status not in (400, 422):
        return set()
    if not re.search(
        "unsupported|not support|unknown|unrecognized|unexpected|not permitted|extra", said, re.IGNORECASE
    ):
        return set()
    return {name for name in _OURS if name in said and name not in request.generation}
