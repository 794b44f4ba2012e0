"""How similar an answer is to an expected one: exact match, token F1, ROUGE-L, and whether it contains that one.

Token F1: Rajpurkar et al. 2016 (SQuAD), https://aclanthology.org/D16-1264. The normalisation is that of its evaluation
script: lower case, no punctuation, no articles. Chinese characters, kana and Hangul syllables are tokens of their own,
because words are not separated there, or carry particles; as in the scripts of MLQA and KorQuAD.

ROUGE-L: Lin 2004, https://aclanthology.org/W04-1013. For English texts the tokens are those of the package rouge-score.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

#: Characters that are tokens of their own: kana, Chinese characters, Hangul syllables.
_ALONE = re.compile(
    "[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]"
)
_ARTICLES = frozenset(("a", "an", "the"))
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
#: Punctuation that ends a sentence and does not change its meaning.
FINAL_PUNCTUATION = ".!?,;:…"
#: What stands between the words of ROUGE-L.
_BETWEEN = re.compile(r"[^\w]+|_+")


def normalise(text: str) -> str:
    """Remove what does not change the meaning of an answer: case, white space, final punctuation, articles.

    An answer that is only an article is kept (the answer "A" to a multiple-choice question).

    Example:
        >>> from panollava_hf.evaluation import normalise
        >>> normalise("  The red   Cube. ")
        'red cube'
        >>> normalise("A.")
        'a'
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    plain = plain.rstrip(FINAL_PUNCTUATION + " ")
    bare = " ".join(_ARTICLE.sub(" ", plain).split())
    return bare or plain


def is_match(prediction: str, *answers: str) -> bool:
    """Whether a prediction equals one of the expected answers after `normalise`."""
    given = normalise(prediction)
    return any(given == normalise(answer) for answer in answers)


def tokens(text: str) -> list[str]:
    """The tokens of an answer for `token_f1` and `contains`.

    An answer that consists of articles or punctuation alone keeps them.

    Example:
        >>> tokens("The red Cube, behind-me!")
        ['red', 'cube', 'behindme']
        >>> tokens("빨간 공")
        ['빨', '간', '공']
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    bare = "".join(letter for letter in plain if not _is_punctuation(letter))
    words = _ALONE.sub(r" \g<0> ", bare).split()
    return [word for word in words if word not in _ARTICLES] or words or plain.split()


def _is_punctuation(letter: str) -> bool:
    # `string.punctuation` has symbols, too: $+<=>^`|~
    return unicodedata.category(letter)[0] == "P" or letter in "$+<=>^`|~"


def token_f1(prediction: str, references: Sequence[str]) -> float:
    """F1 of the tokens that a prediction shares with the best reference, in 0…1.

    Args:
        prediction: The prediction.
        references: The expected answers, at least one.

    Example:
        >>> round(token_f1("a small red cube", ["The red cube."]), 3)
        0.8
    """
    found = tokens(prediction)
    return max(_f1(found, tokens(reference)) for reference in references)


def contains(prediction: str, references: Sequence[str]) -> bool:
    """Whether the tokens of an expected answer stand in a prediction one after another.

    Args:
        prediction: The prediction.
        references: The expected answers.

    Example:
        >>> contains("It is the red cube, I think.", ["Red cube"]), contains("It is redder.", ["red"])
        (True, False)
    """
    found = _joined(tokens(prediction))
    return any((expected := tokens(reference)) and _joined(expected) in found for reference in references)


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """ROUGE-L F1 against the best reference, in 0…1: the longest common subsequence of the words.

    Args:
        prediction: The prediction.
        references: The expected answers, at least one.

    Example:
        >>> round(rouge_l("the cat was found under the bed", ["the cat was under the bed"]), 3)
        0.923
    """
    found = words(prediction)
    best = 0.0
    for reference in references:
        expected = words(reference)
        common = _longest_common(found, expected)
        best = max(best, 2 * common / (len(found) + len(expected)) if common else 0.0)
    return best


def _joined(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "


def _f1(found: Sequence[str], expected: Sequence[str]) -> float:
    common = (Counter(found) & Counter(expected)).total()
    if not found and not expected:  # two answers without a character
        return 1.0
    return 2 * common / (len(found) + len(expected))


def words(text: str) -> list[str]:
    """The words of a text in lower case; of languages without spaces between words, its characters.

    Example:
        >>> words("It's a red cube.")
        ['it', 's', 'a', 'red', 'cube']
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _ALONE.sub(r" \g<0> ", _BETWEEN.sub(" ", plain)).split()


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, with one bit per token of `first` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for index, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << index
    whole = (1 << len(first)) - 1
    row = whole
    for word in second:
        matches = row & places.get(word, 0)
        row = ((row + matches) | (row - matches)) & whole
    return len(first) - row.bit_count()
