import pytest
from panollava_hf._text_scores import is_match
from panollava_hf.evaluation import normalise
from panollava_hf.evaluation.metrics._exact_match import Share, exact_match


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ("The red cube.", "red cube"),
        ("  RED\tcube\n", "red cube"),
        ("Yes!", "yes"),
        ("an orange torus?!", "orange torus"),
        ("back left .", "back left"),
        ("ｆｒｏｎｔ", "front"),  # full-width letters
    ],
)
def test_what_does_not_matter(prediction, expected):
    assert normalise(prediction) == expected
    assert is_match(prediction, expected)


@pytest.mark.parametrize(
    ("prediction", "expected"), [("left", "back left"), ("2", "12"), ("", "no"), ("1.5", "15"), ("b", "a")]
)
def test_what_matters(prediction, expected):
    assert not is_match(prediction, expected)


def test_an_article_that_is_the_answer_stays():
    assert normalise("A.") == "a"
    assert not is_match("the", "A")


def test_words_that_begin_like_articles_stay():
    assert normalise("Another theatre") == "another theatre"


def test_shares_by_family_without_captions(make_question, make_questions, predict_all):
    rows = [make_question(0, answer="red"), make_question(1, answer="blue"), make_question(2, family="count")]
    rows += [make_question(3, family="caption", answer="Red.")]
    found = exact_match(make_questions(rows), predict_all(rows, lambda question: "The red."))
    assert found.families == {"count": Share(0, 1), "what": Share(1 / 2, 2)}
    assert (found.exact_match, found.count) == (1 / 3, 3)


def test_exact_match_without_questions_is_none(make_questions):
    found = exact_match(make_questions([]), [])
    assert found.to_json() == {"exact_match": None, "count": 0, "families": {}}
