"""Scores of one answer against the expected one, for training and evaluation: exact match and token F1."""

import re
import unicodedata
from collections import Counter

#: Punctuation that ends a sentence and does not change its meaning.
FINAL_PUNCTUATION = ".!?,;:…"
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_WORDS = re.compile(r"\w+")


def normalise(text: str) -> str:
    """Remove what does not change the meaning of an answer: case, white space, final punctuation, articles.

    An answer that is only an article is kept (the answer "A" to a multiple-choice question).

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
    """Whether a prediction and the expected answer are equal after `normalise`."""
    return normalise(prediction) == normalise(answer)


def token_f1(prediction: str, answer: str) -> float:
    """Token F1 in 0…1: the harmonic mean of precision and recall of the words of a prediction, as in SQuAD.

    Rajpurkar et al. 2016, https://aclanthology.org/D16-1264. Both texts are normalised first.

    Example:
        >>> token_f1("a red cube", "The cube."), round(token_f1("to the left of the red cube", "red cube"), 3)
        (0.6666666666666666, 0.571)
    """
    given, expected = (Counter(_WORDS.findall(normalise(text))) for text in (prediction, answer))
    if not given or not expected:
        return float(is_match(prediction, answer))
    common = (given & expected).total()
    return 2 * common / (given.total() + expected.total())
