"""BLEU-4, METEOR, ROUGE-L and CIDEr of captions, by the libraries that the field reports.

BLEU: Papineni et al. 2002, https://aclanthology.org/P02-1040, through sacrebleu.
METEOR: Lavie and Agarwal 2007, https://aclanthology.org/W07-0734, through nltk.
ROUGE-L: Lin 2004, https://aclanthology.org/W04-1013, through rouge-score.
CIDEr: Vedantam et al. 2015, https://arxiv.org/abs/1411.5726, through pycocoevalcap (its CIDEr-D).
"""

from collections.abc import Sequence
from typing import Any

from panollava_hf._errors import EvaluationError

#: Punctuation that COCO's caption evaluation drops after tokenising.
PUNCTUATION = frozenset("'' ' `` ` ( ) { } [ ] . ? ! , : - -- ... ;".split())
NEEDS = "pip install 'panollava-hf[eval]'"


def missing_library() -> str | None:
    """The name of a library that caption metrics need and that is not installed."""
    from importlib.util import find_spec

    wanted = {"sacrebleu": "sacrebleu", "rouge_score": "rouge-score", "nltk": "nltk", "pycocoevalcap": "pycocoevalcap"}
    return next((name for module, name in wanted.items() if find_spec(module) is None), None)


class _NoSynonyms:
    """In WordNet's place: METEOR's exact and stem stages alone, which need no data beyond the library's."""

    def synsets(self, word: str) -> tuple[()]:
        return ()


def tokenise(text: str) -> list[str]:
    """Lower-case Penn Treebank tokens without punctuation, as COCO's caption evaluation has them.

    Example:
        >>> tokenise("There is a red cube, in front.")
        ['there', 'is', 'a', 'red', 'cube', 'in', 'front']
    """
    from nltk.tokenize import NLTKWordTokenizer

    return [token for token in NLTKWordTokenizer().tokenize(text.lower()) if token not in PUNCTUATION]


def caption_scores(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Scores of captions over a corpus.

    Args:
        predictions: One caption for each picture.
        references: Expected captions of each, at least one.

    Returns:
        `bleu4` (corpus, unsmoothed), `meteor` (mean of each picture's best reference) and `rouge_l` (mean F1 of the
        best) in [0, 1], and `cider` in [0, 10]. CIDEr weighs words by how few pictures they are said of, so it is
        None for fewer than two pictures.

    Raises:
        EvaluationError: A library is missing.
    """
    missing = missing_library()
    if missing is not None:
        raise EvaluationError(f"caption metrics need {missing}: {NEEDS}")
    said = [tokenise(text) for text in predictions]
    expected = [[tokenise(text) for text in texts] for texts in references]
    return {
        "bleu4": _bleu4(said, expected),
        "meteor": _meteor(said, expected),
        "rouge_l": _rouge_l(said, expected),
        "cider": _cider(said, expected) if len(said) > 1 else None,
    }


Tokens = list[str]


def _bleu4(said: list[Tokens], expected: list[list[Tokens]]) -> float:
    from sacrebleu.metrics.bleu import BLEU

    most = max(len(texts) for texts in expected)
    # Captions with fewer references than others have None in the later streams, which sacrebleu passes over.
    streams: Any = [[" ".join(texts[i]) if i < len(texts) else None for texts in expected] for i in range(most)]
    bleu = BLEU(tokenize="none", smooth_method="none", force=True)
    return float(bleu.corpus_score([" ".join(tokens) for tokens in said], streams).score / 100.0)


def _meteor(said: list[Tokens], expected: list[list[Tokens]]) -> float:
    from nltk.translate.meteor_score import meteor_score

    scores = [meteor_score(texts, tokens, wordnet=_NoSynonyms()) for tokens, texts in zip(said, expected, strict=True)]
    return float(sum(scores) / len(scores))


class _Split:
    """What rouge-score calls a tokenizer, for texts that are tokenised already."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


def _rouge_l(said: list[Tokens], expected: list[list[Tokens]]) -> float:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=_Split())
    total = 0.0
    for tokens, texts in zip(said, expected, strict=True):
        total += scorer.score_multi([" ".join(text) for text in texts], " ".join(tokens))["rougeL"].fmeasure
    return float(total / len(said))


def _cider(said: list[Tokens], expected: list[list[Tokens]]) -> float:
    from pycocoevalcap.cider.cider import Cider

    predictions = {i: [" ".join(tokens)] for i, tokens in enumerate(said)}
    references = {i: [" ".join(tokens) for tokens in texts] for i, texts in enumerate(expected)}
    return float(Cider().compute_score(references, predictions)[0])
