"""How commands print answers: as text, as JSON objects on one line, or piece by piece on a terminal."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from panollava_geometry.cli import echo, error_line, printable

from panollava_hf import _console

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer, Cost


def is_terminal(stream: Any) -> bool:
    """Whether a standard stream, which may be missing, is a terminal."""
    return stream is not None and stream.isatty()


def echo_json(report: dict[str, Any]) -> None:
    """Print a JSON object on one line, with escapes where a character cannot be printed."""
    text = json.dumps(report, ensure_ascii=False)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if printable(text).encode(encoding, "replace").decode(encoding) != text:
        text = json.dumps(report).replace("\x7f", "\\u007f")
    echo(text)


def shown_source(panorama: str) -> str:
    """A file name or URL as output shows it, without the query of a URL."""
    from panollava_geometry.addresses import is_address, source_name

    return source_name(panorama) if is_address(panorama) else printable(panorama)


def answer_fields(answerer: "Answerer", answer: "Answer") -> dict[str, Any]:
    """What a JSON object says about an answer, without the question: the text, how it was found and what it cost."""
    return {
        "answer": None if answer.unknown else answer.text,
        "model": answerer.name,
        "trained": answerer.trained,
        "strategy": answer.strategy,
        "views": answer.plan.to_dict()["views"],
        "calls": answer.calls,
        "image_tokens": answer.image_tokens,
        "prompt_tokens": answer.prompt_tokens,
        "new_tokens": answer.new_tokens,
        "reasoning": answer.reasoning,
        "note": answer.note,
        "unknown_words": list(answer.unknown_words),
        "unknown_image": bool(answer.unknown_image),
        "unknown_question": answer.unknown_question,
        "regions": [{"label": region.label, **region.box.to_dict()} for region in answer.regions],
    }


def print_notes(answer: "Answer", head: str = "") -> None:
    """Notes about one answer, on stderr: why there is none, or what is remarkable about it.

    Args:
        answer: The answer.
        head: Which one it is, if there are several.
    """
    if answer.unknown:
        echo(error_line(f"{head}{answer.unknown}"), err=True)
        return
    if not answer.text:
        _console.note(f"{head}the model returned an empty answer.")
    if answer.note:
        _console.note(f"{head}{answer.note}.")


def print_cost(cost: "Cost", *, as_json: bool, **more: Any) -> None:
    """What a dry run found: a table, or a JSON object with these further fields before it."""
    if as_json:
        echo_json(more | cost.to_dict())
    else:
        echo(str(cost))


class Streamed:
    """Prints an answer piece by piece.

    Args:
        begin: Called once, before anything is printed.
    """

    def __init__(self, begin: Callable[[], Any] = lambda: None) -> None:
        self._begin, self._printed = begin, ""

    def __call__(self, piece: str) -> None:
        """Print the next piece."""
        piece = piece if self._printed else piece.lstrip()
        if not piece:
            return
        if not self._printed:
            self._begin()
        self._printed += piece
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        sys.stdout.write(printable(piece).encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    def end(self, text: str) -> None:
        """End the line; what has not been printed of the whole answer is printed now."""
        printed = self._printed.rstrip()
        self(text[len(printed) :] if text.startswith(printed) else f"\n\n{text}")
        echo("")

    def stop(self) -> None:
        """End the line of an answer that is not complete."""
        if self._printed:
            echo("")
