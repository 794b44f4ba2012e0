"""Texts from outside, made safe to print."""

import json
import os

import pytest
from panollava_geometry._printable import MAX_LINE, printable, printable_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("views [final]/x[/].png [red]", "views [final]/x[/].png [red]"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf\\xe9.jpg"),
        ("\ud83d", "\\ud83d"),
        ("\x1b[2J\x07.jpg", "\\x1b[2J\\x07.jpg"),
        ("a\x9b31mb\x7f", "a\\x9b31mb\\x7f"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("café 보라색 紫 😀 עברית\u200f\tx\ny", "café 보라색 紫 😀 עברית\u200f\tx\ny"),
    ],
)
def test_only_what_controls_a_terminal_is_escaped(text, expected):
    assert printable(text) == expected
    assert printable(text).encode().decode() == expected
    assert json.loads(json.dumps(printable(text), ensure_ascii=False)) == expected


def test_a_line_keeps_its_spaces_and_loses_its_breaks():
    assert (
        printable_line(" first\r\n  second\u2028third\x85fourth, a  b.jpg\n") == "first second third fourth, a  b.jpg"
    )


@pytest.mark.parametrize("length", [MAX_LINE + 1, 5 * MAX_LINE, 10**7])
@pytest.mark.parametrize("letter", ["x", "\x1b", "\n"])
def test_a_line_has_a_bounded_length_with_both_its_ends(length, letter):
    line = printable_line(f"name: {letter * length}; check the path")
    assert len(line) <= MAX_LINE
    assert line.startswith("name: ")
    assert line.endswith("; check the path")
