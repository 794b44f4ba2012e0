"""Texts from outside, as reports and files show them."""

import json
import re
from typing import Any


def public_url(text: str) -> str:
    """A URL without user name, password, query and fragment; any other text unchanged.

    Example:
        >>> public_url("https://me:secret@example.org/a.jpg?token=123#x")
        'https://example.org/a.jpg'
        >>> public_url("images/what?.jpg")
        'images/what?.jpg'
    """
    found = re.fullmatch(r"\s*(https?):[/\\]+(.*)", text, re.IGNORECASE | re.DOTALL)
    if found is None:
        return text
    scheme, rest = found.groups()
    address = rest.partition("#")[0].partition("?")[0].replace("\\", "/").rstrip()
    host = address.partition("/")[0]
    if "@" in host or (":" in address and "@" in address):  # a password may hold a slash
        address = address.rpartition("@")[2]
    return f"{scheme}://{address}"


def printable(text: str) -> str:
    r"""A text that can be encoded: half a surrogate pair, as names of files can have, is written as `\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def json_line(value: Any) -> str:
    """A value as JSON in one line that ends with a line feed and can be encoded as UTF-8."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair: written as an escape, which reads back as it was
        text = json.dumps(value)
    return text + "\n"
