"""The text of an answer while its tokens are generated: whole characters only, up to a stop text."""

from collections.abc import Callable, Sequence


class AnswerText:
    """Turns growing lists of token ids into pieces of text.

    Args:
        decode: Decodes token ids, without special tokens.
        stop: Texts that end the answer and are not part of it.

    Attributes:
        stopped: Whether a stop text was found.

    Example:
        >>> text = AnswerText(lambda ids: "".join(map(chr, ids)), ["END"])
        >>> [text.add(list(b" a b EN"[:count])) for count in (3, 7)], text.add(list(b" a b END")), text.stopped
        (['a', ' b'], '', True)
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode, self._stop, self._sent, self.stopped = decode, tuple(stop), "", False

    def add(self, ids: Sequence[int]) -> str:
        """The text that is certain now and was not before.

        Args:
            ids: All token ids of the answer so far.
        """
        text = self._visible(ids)
        if self.stopped:
            return self._new(text.rstrip())
        text = text.rstrip("\ufffd")  # a character of several tokens that is not complete
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        return self._new(text[: len(text) - held].rstrip())  # white space at the end of an answer is removed

    def end(self, ids: Sequence[int]) -> str:
        """The rest of the text after the last token."""
        return self._new(self._visible(ids).rstrip())

    def _visible(self, ids: Sequence[int]) -> str:
        text = self._decode(ids)
        places = [place for place in map(text.find, self._stop) if place >= 0]
        self.stopped = bool(places)
        return (text[: min(places)] if places else text).lstrip()

    def _new(self, text: str) -> str:
        piece = text[len(self._sent) :]
        self._sent += piece
        return piece


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of a text with which a stop text begins."""
    return next((length for length in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:length])), 0)
