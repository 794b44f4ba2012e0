"""What went wrong at an endpoint: in one line, and whether it helps to try again.

Servers put the reason in many places and use statuses in different ways (llama.cpp answers 500 if a model takes no
images, Ollama 404 for a model it does not have), so both the status and the words of the server decide.
"""

import email.utils
import functools
import html
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

from panollava_hf.asking.models.endpoint._address import without_secrets

#: A longer `Retry-After` than this many seconds is reported instead of waited for.
LONGEST_WAIT = 120.0
#: Statuses after which the same request may succeed.
_PASSING = {408, 409, 425, 429}
_V1 = "the address usually ends in /v1"

_IMAGES = r"(image|multi-?modal|vision|image_url)"
_NO_IMAGES = re.compile(
    rf"{_IMAGES}s?\b.{{0,60}}\b(not support|unsupported|not allowed|not accept|not enabled|not available)"
    rf"|(not|n't|cannot|no) (a )?(support|accept|take|process|have|handle|understand)?\w* ?.{{0,30}}{_IMAGES}.{{0,20}}"
    r"(input|model|content|url|\Z|[.,;])"
    r"|(unsupported|unexpected|unknown)\b.{0,40}image_url|only (supports? )?text|text-only|missing data .{0,20}image"
    r"|endpoints? found that support image|mmproj"
    r"|content\b.{0,20}(must be|should be|expected|valid|:)? ?(a )?(valid )?str(ing)?\b",
    re.IGNORECASE,
)
_TOO_MANY_IMAGES = re.compile(
    r"at most \d+ image|too many images|(max|limit)\w*.{0,40}\bimages?\b.{0,40}\b(prompt|request|message)"
    r"|limit.mm.per.prompt|only (one|1|a single) image",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context.{0,12}(length|size|window)|maximum.{0,20}(tokens|length)|too many tokens|prompt is too long"
    r"|exceed\w*.{0,40}(context|tokens)|context_length_exceeded",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model.{0,90}(not exist|not found|unknown|no such|not available|not loaded)|model_not_found", re.I
)
_BAD_KEY = re.compile(
    r"(api.?key|token|credential)s?\b.{0,30}\b(not valid|invalid|expired|missing|required|incorrect|revoked)"
    r"|(invalid|incorrect|missing|expired|no)\b.{0,20}\b(api.?key|authentication)",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(r"insufficient.(quota|balance|credit)|billing|exceeded your current quota", re.IGNORECASE)


class Fault(Exception):
    """A request that failed. It does not leave the endpoint: a `ChatError` with its text does.

    Args:
        text: What is wrong and what to do, in one line without secrets.
        status: Status of HTTP; None if there was no answer.
        again: Whether the same request may succeed later.
        whole: Whether other requests fail for the same reason.
        wait: Seconds that the server asks to wait.
        words: The words of the server.
        timed_out: Whether the reply did not come in time.
        no_model: Whether the endpoint does not have the model.
    """

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        again: bool = False,
        whole: bool = False,
        wait: float | None = None,
        words: str = "",
        timed_out: bool = False,
        no_model: bool = False,
    ) -> None:
        super().__init__(text)
        self.text, self.status, self.again, self.whole, self.timed_out = text, status, again, whole, timed_out
        self.wait, self.words, self.no_model = wait, words, no_model


class Refused(Exception):
    """An answer with a status of 300 or above, with the beginning of its body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status, self.headers, self.body = status, headers, body


def of_status(status: int, headers: Mapping[str, str], said: str, clean: Callable[[str], str]) -> Fault:
    """The fault of an answer with an error status.

    Args:
        status: Status of HTTP, or the code of an error in a reply with status 200.
        headers: Headers of the answer.
        said: What the server said about it.
        clean: Makes a text of the server one short line without secrets.
    """
    line = clean(said)
    found = f"{status}: {line}" if line else str(status)

    def fault(text: str, **more: Any) -> Fault:
        return Fault(text, status=status, words=said, **more)

    if 300 <= status < 400:
        place = clean(without_secrets(headers.get("location", "")))
        where = f" to {place}; pass that server's address as --base-url" if place else f"; {_V1}"
        return fault(f"the server redirects ({status}){where}", whole=True)
    if status == 401 or (status in (400, 403) and _BAD_KEY.search(said)):
        fault = functools.partial(Fault, status=401)
        return fault(f"the key was refused ({status}); set OPENAI_API_KEY to a valid key of this endpoint", whole=True)
    if status == 403:
        return fault(
            "access was denied (403); check that the key in OPENAI_API_KEY may use this model from here", whole=True
        )
    if status == 402 or (status in (403, 429) and _NO_CREDIT.search(said)):
        return fault(f"no credit or quota is left ({found}); check the plan of the endpoint", whole=True)
    if status == 407:
        return fault(
            "the proxy between here and the endpoint wants a user and password (407); check HTTPS_PROXY", whole=True
        )
    if status == 413:
        return fault(f"the request is too large ({found}); use smaller or fewer views (--view-size, --strategy)")
    if _TOO_MANY_IMAGES.search(said):
        return fault(f"too many images in one prompt ({found}); use --strategy describe or erp")
    if _TOO_LONG.search(said):
        return fault(
            f"the prompt is too long for the model ({found}); use smaller views (--view-size) or --strategy describe"
        )
    if status in (404, 400, 422) and _NO_MODEL.search(said):
        return fault(f"this endpoint does not have the model ({found}); check --model", whole=True, no_model=True)
    if _NO_IMAGES.search(said):
        return fault(f"the model takes no images ({found}); choose a vision-language model")
    if status in (404, 405):
        return fault(f"nothing answers chat requests there ({found}); check --base-url: {_V1}", whole=True)
    again = status in _PASSING or status >= 500
    if headers.get("x-should-retry") in ("true", "false"):
        again = headers["x-should-retry"] == "true"
    wait = retry_after(headers)
    if wait is not None and wait > LONGEST_WAIT:
        return fault(f"the server asks to wait {wait:.0f} seconds ({found}); try later", wait=wait)
    if status == 429:
        return fault(
            f"too many requests, also after waiting ({found}); try later, or with fewer requests at a time",
            again=again,
            wait=wait,
        )
    if status >= 500:
        return fault(f"the server failed ({found}); try later, and look at its log", again=again, wait=wait)
    return fault(f"the server refused the request ({found})", again=again, wait=wait)


def of_connection(error: BaseException, clean: Callable[[str], str]) -> Fault:
    """The fault of a request without an answer, from the exception of an HTTP library and its causes."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    deepest = clean(str(chain[-1])) or type(chain[-1]).__name__
    names = " ".join(type(one).__name__ for one in chain)
    if "Timeout" in names or any(isinstance(one, TimeoutError) for one in chain):
        if "ConnectTimeout" in names:
            return Fault(
                "the server cannot be reached in time; check --base-url and the network", again=True, whole=True
            )
        return of_timeout()
    for one in chain:
        if isinstance(one, socket.gaierror):
            again = one.errno == getattr(socket, "EAI_AGAIN", None)
            return Fault(f"there is no such host ({deepest}); check --base-url", again=again, whole=True)
        if isinstance(one, ssl.SSLError):
            return Fault(
                f"no secure connection ({deepest}); check http(s):// in --base-url and the server's certificate",
                whole=True,
            )
        if isinstance(one, ConnectionRefusedError):
            return Fault("nothing listens there (connection refused); is the server running?", again=True, whole=True)
        if isinstance(one, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
            return cut_off(deepest)
    if "Connect" in names.split()[-1] or "ConnectError" in names or "ProxyError" in names:
        return Fault(
            f"the connection failed ({deepest}); check --base-url, the network and HTTPS_PROXY", again=True, whole=True
        )
    if {"RemoteProtocolError", "ReadError", "WriteError", "CloseError"} & set(names.split()):
        return cut_off(deepest)
    return Fault(f"the request failed ({deepest})")


def cut_off(reason: str) -> Fault:
    """The fault of a connection that ended before the reply did."""
    return Fault(f"the connection was cut off ({reason}); try again", again=True)


def of_timeout() -> Fault:
    """The fault of a reply that did not come in time."""
    return Fault(
        "no reply in time; the server may be overloaded or still loading the model", again=True, timed_out=True
    )


def of_error(error: Any, clean: Callable[[str], str]) -> Fault:
    """The fault of an error object inside of a reply."""
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    status = int(code) if isinstance(code, (int, str)) and re.fullmatch(r"[3-5]\d\d", str(code)) else None
    said = _said(error)
    if status is not None:
        return of_status(status, {}, said, clean)
    found = of_status(400, {}, said, clean)
    if found.text.startswith("the server refused"):
        found.text = f"the server reports an error: {clean(said) or 'no reason given'}"
    return found


def body_words(body: bytes) -> str:
    """What a server said in the body of an error."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return page_words(text) if text.lstrip().startswith("<") else text
    return _said(found)


def page_words(text: str) -> str:
    """The title of a web page, or its text."""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    plain = (
        title[1] if title else re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    )
    return "a web page: " + html.unescape(plain).strip()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait; None if it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
            return float(text) / unit
        date = email.utils.parsedate_tz(text) if text else None
        if date is not None:
            try:
                return max(0.0, email.utils.mktime_tz(date) - time.time())
            except (ValueError, OverflowError):
                return None
    return None


def _said(found: Any, depth: int = 0) -> str:
    """The message in an error body, which each kind of server nests in another way."""
    if isinstance(found, str):
        return found
    if depth > 4:
        return ""
    if isinstance(found, list):
        return "; ".join(filter(None, (_said(one, depth + 1) for one in found[:3])))
    if isinstance(found, dict):
        for name in ("error", "message", "detail", "msg", "errors", "error_description", "title"):
            text = _said(found.get(name), depth + 1)
            if text:
                place = found.get("loc")
                code = found.get("code") if isinstance(found.get("code"), str) else ""
                return " ".join(
                    filter(
                        None, (".".join(map(str, place)) if isinstance(place, list) else "", text, code and f"({code})")
                    )
                )
    return ""
