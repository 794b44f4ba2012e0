"""The address of an endpoint, without the secrets in it, and texts of servers, without the secrets in them."""

import base64
import logging
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from panollava_hf._errors import ChatError

#: Longest text of a server or library in a message.
_MAX_WORDS = 200
#: This many characters of a secret in a row are hidden, so that a shortened key does not appear either.
_PART = 8
#: From this length on, a secret is hidden in answers too.
_LONG_SECRET = 8
_HIDDEN = "***"


@dataclass(frozen=True)
class Address:
    """Where an endpoint is.

    Attributes:
        url: Address without user, password, query and fragment; also what messages show.
        query: Arguments of the query, which are sent with each request.
        authorization: Value of the header for user and password in the address; None if there are none.
        secrets: Texts that must not appear anywhere.
    """

    url: str
    query: dict[str, str] = field(repr=False)
    authorization: str | None = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def read_address(base_url: str) -> Address:
    """Take the address of an endpoint apart.

    Raises:
        ChatError: It is not an http(s) address. The message shows no part of it that may be a secret.

    Example:
        >>> read_address("https://me:password@host.org/v1?key=1").url
        'https://host.org/v1'
    """
    text = base_url.strip() if isinstance(base_url, str) else ""
    try:
        parts = urlsplit(text)
        host, port, valid = parts.hostname, parts.port, re.search(r"[\s\x00-\x1f\x7f\\]", text) is None
    except ValueError:
        parts, host, port, valid = urlsplit(""), None, None, False
    if not valid:
        raise ChatError(
            "--base-url is not a valid address; expected one like http://localhost:8000/v1, with special characters "
            "of a password written as %XX"
        )
    if parts.scheme.lower() not in ("http", "https") or not host:
        shown = f", got {text[:80]!r}" if text and not re.search("[@?#]", text) else ""
        raise ChatError(
            f"--base-url must begin with http:// or https:// and a host{shown}; for example http://localhost:8000/v1"
        )
    place = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    url = f"{parts.scheme.lower()}://{place}{f':{port}' if port else ''}{path}"
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    secrets = [text for text in (*query.values(), parts.query, parts.fragment) if len(text) >= 4]
    authorization = None
    if parts.username is not None or parts.password is not None:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        code = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        authorization = f"Basic {code}"
        secrets += [password, parts.password or "", code, *([user] if not password else [])]
    return Address(url, query, authorization, tuple(filter(None, secrets)))


def usable_key(key: str | None) -> str | None:
    """A key without blanks around it; None if there is none.

    Raises:
        ChatError: It cannot be sent in a header. The message does not show it.
    """
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ChatError("the key of the endpoint contains blanks or special characters; check OPENAI_API_KEY")
    return key or None


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """A text in which secrets, and longer parts of secrets, are replaced.

    Example:
        >>> hidden("wrong key sk-0123456789 (sk-01234567…)", ("sk-0123456789",))
        'wrong key *** (***…)'
    """
    for secret in secrets:
        width = min(_PART, len(secret))
        parts = {secret[start : start + width].lower() for start in range(len(secret) - width + 1)}
        lowered = text.lower()
        if len(lowered) != len(text):
            lowered = text
        covered = [False] * len(text)
        for start in range(len(text) - width + 1):
            if lowered[start : start + width] in parts:
                covered[start : start + width] = [True] * width
        if any(covered):
            marked = "".join("\0" if cover else letter for letter, cover in zip(text, covered, strict=True))
            text = re.sub("\0+", _HIDDEN, marked)
    return text


def hidden_in_answer(text: str, secrets: tuple[str, ...]) -> str:
    """An answer in which a key is hidden. Short passwords are kept: they may be words of the answer."""
    return hidden(text, tuple(secret for secret in secrets if len(secret) >= _LONG_SECRET and secret in text))


def without_secrets(url: str) -> str:
    """A URL without user, password, query and fragment; empty if it cannot be read.

    Example:
        >>> without_secrets("https://me:password@host.org/v1?key=1")
        'https://host.org/v1'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path


class HiddenInLogs(logging.Filter):
    """Hides secrets in what the client and its HTTP library log: they log addresses with their queries."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = secrets

    @classmethod
    def install(cls, secrets: tuple[str, ...]) -> None:
        """Hide secrets in the logs of this process."""
        for name in ("httpx", "httpx2", "openai._base_client"):
            logging.getLogger(name).addFilter(cls(secrets))

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with its secrets hidden."""
        text = record.getMessage()
        if any(secret in text for secret in self._secrets):
            record.msg, record.args = hidden(text, self._secrets), None
        return True


def words(text: str, secrets: tuple[str, ...]) -> str:
    """A text of a server or library as one line of bounded length without secrets."""
    line = " ".join(hidden(text[: 40 * _MAX_WORDS], secrets).split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= _MAX_WORDS else line[: _MAX_WORDS - 1] + "…"
