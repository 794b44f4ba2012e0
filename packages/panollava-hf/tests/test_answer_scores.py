"""Scores of single answers, against values computed by hand."""

import pytest
from panollava_hf._answer_scores import is_match, token_f1


@pytest.mark.parametrize(
    ("prediction", "answer", "score"),
    [
        ("the red cube", "A red cube.", 1),
        ("cube", "red cube", 2 / 3),  # precision 1, recall 1/2
        ("red red red", "red", 1 / 2),  # a word counts as often as it is expected
        ("to the left", "right", 0),
        ("", "left", 0),
        ("?!", "?!", 1),
        ("왼쪽에 문", "왼쪽에 창문", 1 / 2),
        ("front-left", "front left", 1),
    ],
)
def test_token_f1(prediction, answer, score):
    assert token_f1(prediction, answer) == pytest.approx(score)
    assert token_f1(answer, prediction) == pytest.approx(score), "F1 is symmetric"


def test_a_match_has_full_f1_but_not_the_other_way_round():
    assert is_match("The cube!", "cube")
    assert token_f1("cube red", "red cube") == 1
    assert not is_match("cube red", "red cube")
