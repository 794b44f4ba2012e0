"""When an answer counts as the expected one."""

import re
import unicodedata

#: What ends a sentence and says nothing about its meaning.
FINAL_PUNCTUATION = ".!?,;:…"
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """A text without what does not matter to its meaning: case, white space, final punctuation, articles.

    An article that is all there is stays (the answer "A" to a multiple choice).

    Example:
        >>> normalise("  The red   Cube. ")
        'red cube'
        >>> normalise("A.")
        'a'
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    plain = plain.rstrip(FINAL_PUNCTUATION + " ")
    bare = " ".join(_ARTICLES.sub(" ", plain).split())
    return bare or plain


def is_match(prediction: str, answer: str) -> bool:
    """Whether a prediction and the expected answer are the same after `normalise`."""
    return normalise(prediction) == normalise(answer)
