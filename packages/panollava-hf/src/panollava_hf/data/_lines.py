"""The lines of a text file in any encoding that spreadsheets and editors write."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from panollava_hf._errors import TableError, one_line, reason

#: Longest line of a CSV file in characters, so that a file that is not text is not read into memory whole.
MAX_LINE = 2**25
#: How files begin, and the codec that reads them. The marks of UTF-32 begin with those of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_lines(path: Path, longest: int = MAX_LINE) -> Iterator[str]:
    r"""The lines of a file with their line ends; only "\n", "\r\n" and "\r" end a line.

    Args:
        path: A file in UTF-8, UTF-16 (Excel's "Unicode text") or UTF-32.
        longest: Largest number of characters in a line.

    Raises:
        TableError: The file is missing, is not a file, cannot be decoded, or has a longer line.
    """
    if path.exists() and not path.is_file():
        raise TableError(f"{path} is not a file; expected a table")
    encoding = "utf-8"
    try:
        with path.open("rb") as stream:
            encoding = encoding_of(stream.read(4))
        with path.open(encoding=encoding, newline="") as lines:
            number = 0
            while line := lines.readline(longest):
                number += 1
                if len(line) >= longest and not line.endswith(("\n", "\r")):
                    raise TableError(f"{path}, line {number} has more than {longest:,} characters; is it a table?")
                yield line
    except UnicodeError as error:
        raise undecodable(path, encoding, error) from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {reason(error)}") from error


def encoding_of(start: bytes) -> str:
    """The encoding of a text file that begins with these four bytes."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    if len(start) > 1 and start[1] == 0 != start[0]:  # a Latin letter in UTF-16 without a mark
        return "utf-16-le"
    if len(start) > 1 and start[0] == 0 != start[1]:
        return "utf-16-be"
    return "utf-8"


def undecodable(path: Path, encoding: str, error: UnicodeError) -> TableError:
    """The error for a file whose bytes are not text, with line and byte."""
    if encoding.startswith("utf-8"):
        with path.open("rb") as lines:  # a line end is never part of another character in UTF-8
            for number, line in enumerate(lines, 1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as found:
                    byte = line[found.start]
                    return TableError(f"{path}, line {number}: byte {byte:#04x} is not UTF-8; save the file as UTF-8")
    return TableError(f"{path} is not text in {encoding.upper()} ({one_line(error)}); save the file as UTF-8")
