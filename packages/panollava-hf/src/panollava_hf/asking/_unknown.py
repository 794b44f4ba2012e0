"""What a checkpoint does not know of a question and its image, in words."""

from collections.abc import Sequence

from panollava_hf._shown import listed, shortened

#: Most unknown words that a message names, and most letters of one.
_WORDS, _LETTERS = 8, 40


def unknown_reason(words: Sequence[str], image: str) -> str:
    """One line about unknown words and an unknown image; empty if there are none.

    Args:
        words: The words.
        image: What the images of the training are, if this one is unlike them, else empty.

    Example:
        >>> unknown_reason(["door"], "")
        "this checkpoint does not know the word 'door'"
        >>> unknown_reason([], "rendered scenes")
        'this image is unlike the rendered scenes that this checkpoint knows'
    """
    reasons = []
    if words:
        named = listed([repr(shortened(word, _LETTERS)) for word in words], _WORDS)
        reasons.append(f"this checkpoint does not know the word{'s' * (len(words) > 1)} {named}")
    if image:
        reasons.append(f"this image is unlike the {image} that this checkpoint knows")
    return "; ".join(reasons)
