import json

import pytest
from panollava_hf._shown import json_line, printable, public_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://example.org/a.jpg", "https://example.org/a.jpg"),
        ("https://example.org/a.jpg?token=SECRET", "https://example.org/a.jpg"),
        ("HTTP://me:SECRET@example.org:8080/a b.jpg#SECRET", "HTTP://example.org:8080/a b.jpg"),
        ("http://me:SEC/RET@example.org/a.jpg", "http://example.org/a.jpg"),
        ("https:\\\\example.org\\a.jpg?SECRET", "https://example.org/a.jpg"),
        (" https:/example.org/a.jpg?SECRET ", "https://example.org/a.jpg"),
        ("http://[::1]:80/é.jpg?SECRET\n", "http://[::1]:80/é.jpg"),
        ("https://example.org/@me/a.jpg", "https://example.org/@me/a.jpg"),
        ("images/what? #1 me:x@y.jpg", "images/what? #1 me:x@y.jpg"),
        ("ftp://example.org/a?b", "ftp://example.org/a?b"),
    ],
)
def test_a_url_is_shown_without_secrets(text, shown):
    assert public_url(text) == shown
    assert public_url(shown) == shown


@pytest.mark.parametrize(
    "text", ["ordinary é 한 🙂", "\u2028 \u2029 \x85 \x0b \x0c \x1c \r \n", "\ud800 and \udc80", '"\\']
)
def test_a_value_is_one_line_of_utf8_that_reads_back(text):
    line = json_line({"text": text}).encode()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == {"text": text}
    if "é" in text:
        assert "é".encode() in line, "readable where it can be"
    printable(text).encode()
