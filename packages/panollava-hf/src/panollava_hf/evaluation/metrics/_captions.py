"""Caption scores, by the libraries that the field uses; each is one function and one entry in `CAPTION_SCORES`.

BLEU: Papineni et al. 2002, https://aclanthology.org/P02-1040, through sacrebleu.
METEOR: Lavie and Agarwal 2007, https://aclanthology.org/W07-0734, through nltk.
ROUGE-L: Lin 2004, https://aclanthology.org/W04-1013, through rouge-score.
CIDEr: Vedantam et al. 2015, https://arxiv.org/abs/1411.5726, through pycocoevalcap (its CIDEr-D).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from panollava_hf.evaluation._questions import Prediction, Questions
from panollava_hf.evaluation._results import EXTRA, MetricResult, table

#: Punctuation that COCO's caption evaluation removes after tokenising.
PUNCTUATION = frozenset("'' ' `` ` ( ) { } [ ] . ? ! , : - -- ... ;".split())
#: The stages of METEOR that are computed; the synonym stage needs WordNet.
METEOR_STAGES = ["exact", "stem"]

Tokens = list[str]


@dataclass(frozen=True)
class CaptionScore:
    """A score of captions against references.

    Attributes:
        title: Its title in `results.md`.
        score: Called with one tokenised caption for each image, and the tokenised references of each (at least one).
            Returns a number, or None if the captions are too few.
        module: The module that it needs, None if none.
    """

    title: str
    score: Callable[[list[Tokens], list[list[Tokens]]], float | None]
    module: str | None = None


@dataclass(frozen=True)
class Captions(MetricResult):
    """Caption scores over all captions.

    Attributes:
        scores: Each score by its name in `CAPTION_SCORES`; None where there are too few captions. Empty if a library
            is missing.
        count: Number of captions.
        references: Number of references over all captions.
        needs: The library that is missing, and how to install it; None if all are installed.
    """

    scores: dict[str, float | None]
    count: int
    references: int
    needs: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The scores, the numbers of captions and references, and METEOR's stages; or the missing library."""
        counts = {"count": self.count, "references": self.references}
        if self.needs is not None:
            return {**counts, "needs": self.needs}
        return {**self.scores, **counts, "meteor_stages": METEOR_STAGES}

    def section(self, name: str) -> list[str]:
        """A table with one column per score."""
        if self.needs is not None:
            return ["## Captions", "", f"{self.count} captions, not scored: needs {self.needs}"]
        figures = [f"{score:.3f}" if score is not None else "–" for score in self.scores.values()]
        header = ["captions", *(CAPTION_SCORES[name].title for name in self.scores)]
        return ["## Captions", "", *table(header, [[str(self.count), *figures]])]

    def notes(self) -> list[str]:
        """Which library is missing."""
        return [] if self.needs is None else [f"captions are not scored: needs {self.needs}"]


def captions(questions: Questions, predictions: Sequence[Prediction]) -> Captions | None:
    """Scores of all captions; None without captions.

    Rows with the same question about the same image are one caption with several references.
    """
    groups: dict[tuple[str, str], list[Prediction]] = {}
    for prediction in predictions:
        if prediction.question.is_caption:
            groups.setdefault((prediction.question.key, prediction.question.question), []).append(prediction)
    if not groups:
        return None
    count, references = len(groups), sum(map(len, groups.values()))
    missing = missing_library()
    if missing is not None:
        return Captions({}, count, references, missing)
    texts = [group[0].text for group in groups.values()]
    return Captions(
        caption_scores(texts, [[one.question.answer for one in group] for group in groups.values()]), count, references
    )


def missing_library() -> str | None:
    """The first library that a caption score needs and that is not installed, with how to install it."""
    modules = [score.module for score in CAPTION_SCORES.values() if score.module is not None]
    missing = next((module for module in modules if find_spec(module) is None), None)
    return None if missing is None else f"{missing.replace('_', '-')}: {EXTRA}"


def caption_scores(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float | None]:
    """All scores in `CAPTION_SCORES` over a corpus.

    Args:
        predictions: One caption for each image.
        references: Expected captions of each image, at least one.
    """
    candidates = [tokenise(text) for text in predictions]
    expected = [[tokenise(text) for text in texts] for texts in references]
    return {name: score.score(candidates, expected) for name, score in CAPTION_SCORES.items()}


def tokenise(text: str) -> Tokens:
    """Lower-case Penn Treebank tokens without punctuation, as in COCO's caption evaluation.

    Example:
        >>> tokenise("There is a red cube, in front.")
        ['there', 'is', 'a', 'red', 'cube', 'in', 'front']
    """
    from nltk.tokenize import NLTKWordTokenizer

    return [token for token in NLTKWordTokenizer().tokenize(text.lower()) if token not in PUNCTUATION]


def bleu4(predictions: list[Tokens], references: list[list[Tokens]]) -> float:
    """BLEU-4 of the corpus, unsmoothed, in [0, 1]."""
    from sacrebleu.metrics.bleu import BLEU

    most = max(len(texts) for texts in references)
    # Captions with fewer references have None in the later streams, which sacrebleu ignores.
    streams: Any = [[" ".join(texts[i]) if i < len(texts) else None for texts in references] for i in range(most)]
    bleu = BLEU(tokenize="none", smooth_method="none", force=True)
    return float(bleu.corpus_score([" ".join(tokens) for tokens in predictions], streams).score / 100.0)


class _NoSynonyms:
    """Replaces WordNet: only METEOR's exact and stem stages, which need no downloaded data."""

    def synsets(self, word: str) -> tuple[()]:
        return ()


def meteor(predictions: list[Tokens], references: list[list[Tokens]]) -> float:
    """METEOR against the best reference of each caption, without synonyms, mean in [0, 1]."""
    from nltk.translate.meteor_score import meteor_score

    pairs = zip(predictions, references, strict=True)
    scores = [meteor_score(texts, tokens, wordnet=_NoSynonyms()) for tokens, texts in pairs]
    return float(sum(scores) / len(scores))


class _Split:
    """A tokenizer for rouge-score, for texts that are already tokenised."""

    def tokenize(self, text: str) -> Tokens:
        return text.split()


def rouge_l(predictions: list[Tokens], references: list[list[Tokens]]) -> float:
    """ROUGE-L F1 against the best reference of each caption, mean in [0, 1]."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=_Split())
    total = 0.0
    for tokens, texts in zip(predictions, references, strict=True):
        total += scorer.score_multi([" ".join(text) for text in texts], " ".join(tokens))["rougeL"].fmeasure
    return float(total / len(predictions))


def cider(predictions: list[Tokens], references: list[list[Tokens]]) -> float | None:
    """CIDEr-D in [0, 10]; None for a single caption, because it weights words by how few images they describe."""
    from pycocoevalcap.cider.cider import Cider

    if len(predictions) < 2:
        return None
    candidates = {i: [" ".join(tokens)] for i, tokens in enumerate(predictions)}
    expected = {i: [" ".join(tokens) for tokens in texts] for i, texts in enumerate(references)}
    return float(Cider().compute_score(expected, candidates)[0])


#: All caption scores by their name in `results.json`, in its order.
CAPTION_SCORES: dict[str, CaptionScore] = {
    "bleu4": CaptionScore("BLEU-4", bleu4, "sacrebleu"),
    "meteor": CaptionScore("METEOR (exact, stem)", meteor, "nltk"),
    "rouge_l": CaptionScore("ROUGE-L", rouge_l, "rouge_score"),
    "cider": CaptionScore("CIDEr", cider, "pycocoevalcap"),
}
