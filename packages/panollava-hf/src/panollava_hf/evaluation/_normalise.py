"""What does not change the meaning of an answer is removed before answers are compared."""

import re
import unicodedata

#: Punctuation that ends a sentence and does not change its meaning.
FINAL_PUNCTUATION = ".!?,;:…"
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


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
