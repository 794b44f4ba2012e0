import pytest
from panollava_hf.evaluation import normalise
from panollava_hf.evaluation._normalise import is_match


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("The red cube.", "red cube"),
        ("  RED\tcube\n", "red cube"),
        ("Yes!", "yes"),
        ("an orange torus?!", "orange torus"),
        ("back left .", "back left"),
        ("ｆｒｏｎｔ", "front"),  # full-width letters
    ],
)
def test_what_does_not_matter(said, expected):
    assert normalise(said) == expected
    assert is_match(said, expected)


@pytest.mark.parametrize(
    ("said", "expected"), [("left", "back left"), ("2", "12"), ("", "no"), ("1.5", "15"), ("b", "a")]
)
def test_what_matters(said, expected):
    assert not is_match(said, expected)


def test_an_article_that_is_the_answer_stays():
    assert normalise("A.") == "a"
    assert not is_match("the", "A")


def test_words_that_begin_like_articles_stay():
    assert normalise("Another theatre") == "another theatre"
