import math
from collections import Counter

import pytest
from panollava_hf.evaluation.metrics import _captions
from panollava_hf.evaluation.metrics._captions import caption_scores, captions, tokenise

PREDICTED = ["a red cubes in front", "there is a blue cone to the left of me", "grey fog"]
EXPECTED = [
    ["A red cube is in front."],
    ["There is a blue cone on the left.", "A blue cone stands to the left of me."],
    ["There is nothing but grey fog here."],
]


def test_tokens_are_those_of_the_penn_treebank_without_punctuation():
    assert tokenise("It's a cube, (red) - isn't it?") == ["it", "'s", "a", "cube", "red", "is", "n't", "it"]


def test_right_captions_score_full():
    predicted = ["a red cube in front", "two blue cones lie below"]
    scores = caption_scores(predicted, [[predicted[0].upper() + "."], [predicted[1]]])
    assert scores["bleu4"] == pytest.approx(1)
    assert scores["rouge_l"] == pytest.approx(1)
    assert scores["cider"] == pytest.approx(10)
    assert scores["meteor"] == pytest.approx(1 - 0.5 / 5**3)  # one chunk of five words costs that much


def test_wrong_and_empty_captions_score_nothing():
    scores = caption_scores(["", "entirely other words"], [["a red cube"], ["the blue cone"]])
    assert scores == {"bleu4": 0, "meteor": 0, "rouge_l": 0, "cider": 0}


def test_meteor_by_hand():
    # Five of five words match, "cubes" by its stem, in two chunks, of six expected.
    precision, recall = 5 / 5, 5 / 6
    mean = 10 * precision * recall / (recall + 9 * precision)
    assert caption_scores(PREDICTED[:1], EXPECTED[:1])["meteor"] == pytest.approx(mean * (1 - 0.5 * (2 / 5) ** 3))


def test_meteor_without_synonyms():
    # WordNet would match these. No package ships its data, and a score must not depend on what is on the machine.
    assert caption_scores(["car"], [["automobile"]])["meteor"] == 0


def test_rouge_l_by_hand():
    scores = caption_scores(["red cube in front"], [["A red cube is in front."]])
    assert scores["rouge_l"] == pytest.approx(2 * 1 * (4 / 6) / (1 + 4 / 6))


def test_cider_by_hand():
    # All n-grams belong to one image of two, so their weights cancel; four words of five are right.
    scores = caption_scores(["k b c d e", "v w x y z"], [["k b c d f"], ["v w x y z"]])
    first = 10 * (4 / 5 + 3 / 4 + 2 / 3 + 1 / 2) / 4
    assert scores["cider"] == pytest.approx((first + 10) / 2)


def test_cider_needs_more_than_one_image():
    assert caption_scores(["a cube"], [["a cube"]])["cider"] is None


def bleu4(predicted, expected):
    """The paper's formula: clipped n-gram precisions, brevity against the closest reference."""
    right, total, length, closest = [0] * 4, [0] * 4, 0, 0
    for tokens, references in zip(predicted, expected, strict=True):
        length += len(tokens)
        closest += min((abs(len(r) - len(tokens)), len(r)) for r in references)[1]
        for n in range(1, 5):
            mine = Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
            best = Counter()
            for reference in references:
                best |= Counter(tuple(reference[i : i + n]) for i in range(len(reference) - n + 1))
            right[n - 1] += (mine & best).total()
            total[n - 1] += mine.total()
    precision = math.exp(sum(math.log(r / t) for r, t in zip(right, total, strict=True)) / 4)
    return precision * min(1, math.exp(1 - closest / length))


def test_bleu_is_the_papers_formula_with_several_references():
    expected = bleu4([tokenise(s) for s in PREDICTED], [[tokenise(t) for t in texts] for texts in EXPECTED])
    assert 0.1 < expected < 0.9
    assert caption_scores(PREDICTED, EXPECTED)["bleu4"] == pytest.approx(expected)


def test_rows_with_the_same_question_about_the_same_image_are_references(make_question, make_questions, predict_all):
    keys = ["a", "a", "b"]
    rows = [
        make_question(i, key=key, question="Describe.", family="caption", answer=answer)
        for i, (key, answer) in enumerate(zip(keys, [EXPECTED[1][0], EXPECTED[1][1], EXPECTED[2][0]], strict=True))
    ]
    rows.append(make_question(3, answer="not a caption"))
    found = captions(make_questions(rows), predict_all(rows, lambda q: PREDICTED[1] if q.key == "a" else PREDICTED[2]))
    assert (found.count, found.references) == (2, 3)
    assert found.scores == caption_scores(PREDICTED[1:], EXPECTED[1:])
    assert list(found.to_json()) == ["bleu4", "meteor", "rouge_l", "cider", "count", "references", "meteor_stages"]
    assert captions(make_questions(rows[3:]), predict_all(rows[3:], lambda question: "")) is None


def test_a_missing_library_is_named(make_question, make_questions, predict_all, monkeypatch):
    monkeypatch.setattr(_captions, "find_spec", lambda module: None if module == "rouge_score" else module)
    rows = [make_question(family="caption")]
    found = captions(make_questions(rows), predict_all(rows, lambda question: "a"))
    needs = "rouge-score: pip install 'panollava-hf[eval]'"
    assert found.to_json() == {"count": 1, "references": 1, "needs": needs}
    assert found.notes() == [f"captions are not scored: needs {needs}"]
    assert found.section("captions")[-1] == f"1 captions, not scored: needs {needs}"
