"""Token F1 against SQuAD's definition, ROUGE-L against the package rouge-score, both also outside English."""

import re
import string
from collections import Counter

import numpy as np
import pytest
from panollava_hf._text_scores import contains, rouge_l, token_f1

WORDS = "the a red cube, behind. Behind me? it's three-legged 3.5 $5 of an The sofa! (left)".split()


def squad_f1(prediction, answer):
    """F1 as the evaluation script of SQuAD 1.1 defines it."""

    def normalised(text):
        text = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    found, expected = normalised(prediction), normalised(answer)
    common = sum((Counter(found) & Counter(expected)).values())
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def sentences(count):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 9))) + " chair" for _ in range(count)]


def test_token_f1_is_that_of_squad():
    texts = sentences(400)
    found = [token_f1(a, [b]) for a, b in zip(texts[::2], texts[1::2], strict=True)]
    assert found == pytest.approx([squad_f1(a, b) for a, b in zip(texts[::2], texts[1::2], strict=True)])
    assert len(set(found)) > 20


def test_rouge_l_is_that_of_rouge_score():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    texts = sentences(400)
    for prediction, answer in zip(texts[::2], texts[1::2], strict=True):
        assert rouge_l(prediction, [answer]) == pytest.approx(scorer.score(answer, prediction)["rougeL"].fmeasure)


def test_rouge_l_of_long_texts_ends():
    assert rouge_l("word other " * 30_000, ["word " * 30_000]) == pytest.approx(2 * 30_000 / 90_000)


@pytest.mark.parametrize(
    ("prediction", "answer", "f1", "sequence", "inside"),
    [
        # Characters in common by hand: 3 of 3 and 5.
        ("빨간 공", "빨간 공입니다", 6 / 9, 6 / 9, False),
        ("빨간 공입니다.", "빨간 공", 6 / 9, 6 / 9, True),
        ("赤い球", "赤い球", 1, 1, True),
        ("在我身后", "身后", 4 / 6, 4 / 6, True),
        ("ＲＥＤ　ｃｕｂｅ", "red cube", 1, 1, True),
        ("rot", "ROT!", 1, 1, True),
        ("", "red", 0, 0, False),
        ("the", "a", 0, 0, False),
        ("A", "a.", 1, 1, True),
        ("…", "…", 1, 0, True),
        ("no", "nothing", 0, 0, False),
    ],
)
def test_by_hand(prediction, answer, f1, sequence, inside):
    assert token_f1(prediction, [answer]) == pytest.approx(f1)
    assert rouge_l(prediction, [answer]) == pytest.approx(sequence)
    assert contains(prediction, [answer]) is inside


def test_the_best_reference_counts():
    assert token_f1("a red cube", ["blue ball", "red cube", "cube"]) == 1
    assert rouge_l("red cube", ["blue ball", "red cube", "cube"]) == 1
    assert contains("I see a cube", ["blue ball", "cube"])
