"""What a checkpoint does not know of a question and its image, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from panollava_hf._shown import listed, shortened

#: Most unknown words that a message names, and most letters of one.
_WORDS, _LETTERS = 8, 40


@dataclass(frozen=True)
class Unknown:
    """What a checkpoint does not know; false if there is nothing.

    Attributes:
        words: Words of the question.
        image: What the images of the training are, if this one is unlike them, else empty.
        question: Whether the question is unlike those of the training, though all of its words are known.

    Example:
        >>> bool(Unknown()), Unknown(("door",)).reason
        (False, "this checkpoint does not know the word 'door'")
    """

    words: tuple[str, ...] = ()
    image: str = ""
    question: bool = False

    def __bool__(self) -> bool:
        return bool(self.words or self.image or self.question)

    @property
    def reason(self) -> str:
        """It in one line."""
        return unknown_reason(self.words, self.image, self.question)

    def to_dict(self) -> dict[str, Any]:
        """It as JSON values, as `panollava serve` sends it next to a refusal."""
        return {"words": list(self.words), "image": self.image, "question": self.question}


def unlike_vectors(image: str) -> str:
    """One line about the vectors of an image that is unlike those of the training.

    Args:
        image: What the images of the training are.
    """
    return (
        f"this image is unlike the {image} that this checkpoint knows; its vectors say little: use another model "
        "(--model)"
    )


def unknown_reason(words: Sequence[str], image: str, question: bool = False) -> str:
    """One line about unknown words, an unknown image or an unknown kind of question; empty if there are none.

    Args:
        words: The words.
        image: What the images of the training are, if this one is unlike them, else empty.
        question: Whether the question is unlike those of the training, though all of its words are known.

    Example:
        >>> unknown_reason(["door"], "")
        "this checkpoint does not know the word 'door'"
        >>> unknown_reason([], "rendered scenes").partition("; ")[2]
        'ask any vision-language model (--model, --base-url)'
        >>> unknown_reason([], "", True)
        'this checkpoint knows the words of the question, but none of them says what to look for'
    """
    reasons = []
    if words:
        named = listed([repr(shortened(word, _LETTERS)) for word in words], _WORDS)
        reasons.append(f"this checkpoint does not know the word{'s' * (len(words) > 1)} {named}")
    elif question:
        reasons.append("this checkpoint knows the words of the question, but none of them says what to look for")
    if image:
        reasons.append(
            f"this image is unlike the {image} that this checkpoint knows; ask any vision-language model (--model, "
            "--base-url)"
        )
    return "; ".join(reasons)
