"""The client of the package `openai`: everything that touches it, and nothing of it gets out.

Its exceptions can hold the key, so each becomes a `Fault`, which is raised outside of the handler and has no context.
"""

import importlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

from panollava_hf._errors import ChatError
from panollava_hf.asking.models.endpoint._address import Address, HiddenInLogs
from panollava_hf.asking.models.endpoint._faults import Refused, body_words, of_connection, of_status
from panollava_hf.asking.models.endpoint._reading import model_names

#: Seconds until a connection is given up.
_CONNECT = 10.0
#: Longest body of an error that is read, in bytes.
_ERROR_BYTES = 1 << 16


def connect(address: Address, key: str | None, timeout: float, clean: Callable[[str], str]) -> Any:
    """A client. It repeats nothing by itself, and follows no redirect, which could send images to another server.

    Args:
        address: The address.
        key: The key; None if there is none.
        timeout: Seconds until a request is given up.
        clean: Makes a text of a library one short line without secrets.

    Raises:
        ChatError: The package `openai` is not installed, or it cannot use the address or the proxy.
    """
    try:
        openai = importlib.import_module("openai")
    except ImportError:
        openai = None
    if openai is None:
        raise ChatError("--base-url needs the package openai: pip install 'panollava-hf[endpoint]'")
    headers = {"Accept-Encoding": "identity"}
    if address.authorization is not None:
        headers["Authorization"] = address.authorization
    if address.query:
        HiddenInLogs.install(address.secrets)
    try:
        limits = openai.Timeout(timeout, connect=min(_CONNECT, timeout))
        return openai.OpenAI(
            base_url=address.url,
            api_key=key or "none",
            timeout=limits,
            max_retries=0,
            default_headers=headers,
            default_query=address.query,
            http_client=openai.DefaultHttpxClient(
                timeout=limits, follow_redirects=False, event_hooks={"response": [_stop_at_errors]}
            ),
        )
    except Exception as error:
        failure = f"{type(error).__name__}: {clean(str(error))}"
    raise ChatError(f"no client for {address.url} ({failure}); check --base-url, HTTPS_PROXY and SSL_CERT_FILE")


def body(client: Any, arguments: Mapping[str, Any], clean: Callable[[str], str]) -> Generator[bytes]:
    """The body of a reply, piece by piece.

    Raises:
        Fault: Whatever the client raises.
    """
    try:
        with client.chat.completions.with_streaming_response.create(**arguments) as response:
            yield from response.iter_bytes()
        return
    except Exception as error:
        refused = _refused(error)
        if refused is None:
            fault = of_connection(error, clean)
        else:
            fault = of_status(refused.status, refused.headers, body_words(refused.body), clean)
    raise fault


def offered(client: Any, clean: Callable[[str], str]) -> str:
    """The models that an endpoint has, as the end of a message; empty if it does not say."""
    found = bytearray()
    try:
        with client.with_options(timeout=_CONNECT).models.with_streaming_response.list() as response:
            for piece in response.iter_bytes():
                found += piece
                if len(found) > _ERROR_BYTES:
                    return ""
    except Exception:
        return ""  # the message is complete without them
    names = clean(", ".join(model_names(bytes(found))))
    return f"; it has: {names}" if names else ""


def _stop_at_errors(response: Any) -> None:
    """Read a bounded part of an answer with an error status, which the client would read whole."""
    if response.status_code < 300:
        return
    body = bytearray()
    try:
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _ERROR_BYTES:
                break
    except Exception:
        body += b""  # the status says more than the end of its body
    raise Refused(response.status_code, dict(response.headers), bytes(body[:_ERROR_BYTES]))


def _refused(error: BaseException | None) -> Refused | None:
    """The answer with an error status among the causes of an exception."""
    while error is not None and not isinstance(error, Refused):
        error = error.__cause__ or error.__context__
    return error
