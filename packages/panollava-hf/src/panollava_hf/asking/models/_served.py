"""The models that an endpoint serves, for a request that names none."""

from panollava_hf._errors import ChatError
from panollava_hf._shown import listed, shortened
from panollava_hf.asking.models._endpoint import EndpointChat
from panollava_hf.asking.models.endpoint._faults import Fault, Refused, body_words, of_connection, of_status

#: Seconds until the list of models is given up.
TIMEOUT = 10.0
#: Most names that a message lists.
_SHOWN = 6


def only_model(base_url: str) -> str:
    """The name of the model at an endpoint that serves one.

    Raises:
        ChatError: It serves none or several, or its list of models cannot be read.
    """
    chat = EndpointChat("unnamed", base_url, timeout=TIMEOUT, max_retries=0)
    found = _names(chat)
    if isinstance(found, Fault):
        raise ChatError(f"{chat.device}: no model is named, and {found.text}; name the model with --model")
    if len(found) == 1:
        return found[0]
    if not found:
        raise ChatError(f"{chat.device}: this endpoint lists no model; name one with --model")
    names = listed([shortened(name, 80) for name in found], _SHOWN)
    raise ChatError(f"{chat.device}: this endpoint serves {len(found)} models; name one with --model: {names}")


def _names(chat: EndpointChat) -> list[str] | Fault:
    """The names of the models, or why they are not known."""
    try:
        listing = chat._client.models.list()
        names = [model.id for model in listing.data if isinstance(model.id, str) and model.id.strip()]
        return list(dict.fromkeys(names))
    except Exception as error:  # the client raises what its HTTP library, JSON and pydantic raise
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, Refused):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, Refused):
            return of_status(cause.status, cause.headers, body_words(cause.body), chat._clean)
        return of_connection(error, chat._clean)
