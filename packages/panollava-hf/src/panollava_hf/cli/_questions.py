"""The questions of a command line, and their answers, of which some may fail."""

import sys
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from panollava_hf._errors import PanoLLaVaError, TextError, UsageError
from panollava_hf._shown import shown
from panollava_hf.cli._printing import is_terminal

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer, Budget
    from panollava_hf.asking._chat import OnText, Reply
    from panollava_hf.asking._panorama import Panorama

#: As a question: read the questions from standard input.
FROM_STDIN = "-"


def read_questions(typed: Sequence[str]) -> list[str]:
    """The questions to answer; none begins a chat.

    Args:
        typed: The arguments. "-" alone is replaced by the lines of standard input.

    Raises:
        UsageError: A question is empty, or there is none and no terminal to ask at.
    """
    if list(typed) == [FROM_STDIN]:
        questions = _lines_of_stdin()
        if not questions:
            raise UsageError("standard input holds no question; write one per line")
        return questions
    if any(not question.strip() for question in typed):
        raise UsageError("the question is empty; write what you want to know")
    if _is_one_question(typed):
        raise UsageError(
            f"got {len(typed)} questions of one word each; put a question in quotes: {shown(' '.join(typed))}"
        )
    if not typed and not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise UsageError(
            "there is no question; write it after the panorama, or write - to read questions from standard input, one "
            "per line. A chat without a question needs a terminal"
        )
    return list(typed)


def answer_each(
    answerer: "Answerer",
    panorama: "Panorama",
    questions: Sequence[str],
    *,
    max_new_tokens: int,
    budget: "Budget | None" = None,
    on_text: "OnText | None" = None,
) -> "list[Answer | PanoLLaVaError]":
    """The answers in order, with the error of a question in its place.

    All go to the model together; one by one if a question cannot be read, so that the others are answered. A budget is
    for all of them.
    """
    memo: dict[Hashable, Reply] = {}

    def ask(some: Sequence[str]) -> "list[Answer | PanoLLaVaError]":
        answers = answerer.answer_all(
            [panorama],
            some,
            [0] * len(some),
            max_new_tokens=max_new_tokens,
            budget=budget,
            on_text=on_text,
            memo=memo,
        )
        return [*answers]

    try:
        return ask(questions)
    except TextError as error:
        if len(questions) == 1:
            return [error]
        if budget is not None:
            raise UsageError(f"a question cannot be read, so the cost is not known: {error}") from error
    found: list[Answer | PanoLLaVaError] = []
    for question in questions:
        try:
            found += ask([question])
        except TextError as error:
            found.append(error)
    return found


def _is_one_question(typed: Sequence[str]) -> bool:
    """Whether these are the words of one question without quotes. Some scripts have no blanks, so ASCII only."""
    words = all(text.isascii() and len(text.split()) == 1 for text in typed)
    return len(typed) > 1 and words and not any(word.endswith(("?", ".", "!")) for word in typed[:-1])


def _lines_of_stdin() -> list[str]:
    if sys.stdin is None:
        return []
    try:
        return [line.strip() for line in sys.stdin if line.strip()]
    except UnicodeDecodeError as error:
        raise UsageError("standard input is not text in UTF-8; write one question per line") from error
