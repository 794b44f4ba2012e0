"""Texts from outside (names of files, URLs, other libraries' messages), made safe to print."""

import re

#: Longest error message. The middle of a longer one is left out: the name is at its beginning, the advice at its end.
MAX_LINE = 1000
_BREAKS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
#: Control characters (terminals obey them), characters that change the direction of text, and bytes that are not UTF-8.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Escape what controls a terminal, except tabs and line breaks, and bytes of file names that are not UTF-8.

    Example:
        >>> print(printable("caf\udce9 \x1b[31m.jpg"))
        caf\xe9 \x1b[31m.jpg
    """
    return _UNSAFE.sub(_escape, text)


def printable_line(text: str) -> str:
    r"""A text as one printable line of at most `MAX_LINE` characters. Spaces stay as they are.

    Example:
        >>> printable_line("first\n   second, a  b.jpg")
        'first second, a  b.jpg'
    """
    line = printable(_BREAKS.sub(" ", text[: 4 * MAX_LINE] + text[4 * MAX_LINE :][-MAX_LINE:]).strip())
    if len(line) <= MAX_LINE:
        return line
    tail = MAX_LINE // 3
    return f"{line[: MAX_LINE - tail - 3]} … {line[-tail:]}"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python's surrogateescape stores it
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
