"""Many names in little memory, and little space when they are pickled."""

import os
import zlib
from array import array
from collections.abc import Iterable
from typing import Any

#: Longest name in a message, in characters.
_MAX_SHOWN = 200


class Names:
    """File names in order; one million of 20 characters take 28 MB, and about 3 MB as a pickle.

    Args:
        names: The names; they can hold bytes that are not UTF-8, as `os` gives them.

    Example:
        >>> import pickle
        >>> names = pickle.loads(pickle.dumps(Names(["a.jpg", "b/ä.jpg"])))
        >>> len(names), names[1]
        (2, 'b/ä.jpg')
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")
        for name in names:
            self._bytes += os.fsencode(name)
            self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        start = self._ends[index - 1] if index else 0
        return os.fsdecode(bytes(self._bytes[start : self._ends[index]]))

    def __getstate__(self) -> dict[str, Any]:
        # NUL is in no file name.
        return {"names": zlib.compress(b"\0".join(os.fsencode(self[index]) for index in range(len(self))), 6)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        joined = zlib.decompress(state["names"])
        self.__init__(map(os.fsdecode, joined.split(b"\0") if joined else ()))  # type: ignore[misc]


def text_of(name: str) -> str:
    r"""A file name as valid Unicode: bytes that are not UTF-8 are written as "\xe9".

    Example:
        >>> text_of("caf\udce9.jpg")
        'caf\\xe9.jpg'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def shown_name(name: str) -> str:
    r"""A file name as messages show it: on one line, of bounded length.

    Example:
        >>> shown_name("new\nline.jpg"), len(shown_name("x" * 5000))
        ('new�line.jpg', 200)
    """
    text = "".join(character if character.isprintable() else "\ufffd" for character in text_of(name[:1000]))
    return text if len(text) <= _MAX_SHOWN and len(name) <= 1000 else f"{text[: _MAX_SHOWN - 61]}…{text_of(name[-60:])}"
