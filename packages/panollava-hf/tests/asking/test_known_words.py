"""Words that a checkpoint does not know, with forgiveness for how people type."""

import pytest
from panollava_hf.asking._known_words import KnownWords, is_one_error
from panollava_hf.panoshapes.wordings._topics import topics
from panollava_hf.panoshapes.wordings._vocabulary import vocabulary


@pytest.fixture(scope="module")
def known():
    return KnownWords(vocabulary())


@pytest.fixture(scope="module")
def subjects():
    return KnownWords(topics(), verbs=False)


@pytest.mark.parametrize(
    "question",
    [
        "What is behind me?",
        "WHAT'S AT MY BACK",
        "wher is the purpel doughnut, plesae",
        "Is any ring present?",
        "what hue does the ball have?",
        "tally the blue items",
        "How many violet boxes are there in this panorama?",
        "whats beneth my feet",
        "Ｗｈｅｒｅ ｉｓ the red cube?",
        "the cylinder’s colour",
        "lft or right of the cone?",
        "보라색 원뿔은 어디에 있나요?",
        "빨간상자가 보이니",
        "내 등 뒤에는 뭐가 있습니까?",
        "초록색 도넛과 파란 공 중에 어느 게 더 가까워?",
    ],
)
def test_what_people_ask_about_scenes_is_known(known, question):
    assert known.unknown(question) == ()


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Where is the door?", ("door",)),
        ("Is there a tree behind the wall?", ("tree", "wall")),
        ("How many people are in the car?", ("people", "car")),
        ("What colour is the cat's bed?", ("cat's", "bed")),
        ("Is the black cube near the window?", ("black", "window")),
        ("zzzz zzzz?", ("zzzz",)),
        ("문은 어디에 있나요?", ("문은",)),
        ("사람이 몇 명 보이나요?", ("사람이", "명")),
        ("의자가 있습니까?", ("의자가",)),
        ("紫の円錐はどこ", ("紫の円錐はどこ",)),
        ("Где куб?", ("где", "куб")),
    ],
)
def test_what_no_scene_has_is_said(known, question, words):
    assert known.unknown(question) == words


@pytest.mark.parametrize(
    "question",
    [
        "Where am I?",
        "What is this place?",
        "What should I do next?",
        "Who made this?",
        "Where are you from?",  # one letter from "form", and a word of its own
        "What was here before?",
        "여기가 어디예요?",
        "위험한가요?",  # starts like "above", and is a verb
        "이제 뭘 해야 해?",
    ],
)
def test_known_words_alone_do_not_make_a_known_question(known, subjects, question):
    assert known.unknown(question) == ()
    assert not subjects.has_any(question, known.has)


@pytest.mark.parametrize(
    "question",
    [
        "whats bheind me",
        "Anything on the lft?",
        "What's in the scene?",
        "How many are there?",
        "which is nearer, this or that",
        "the pshere's hue",
        "뒤에 뭐 있어?",
        "빨간상자가 보이니",
        "색이 뭐야?",
        "몇 개야?",
    ],
)
def test_what_a_question_is_about_is_found(known, subjects, question):
    assert subjects.has_any(question, known.has)


def errors_of(word):
    """All words with one typing error, made in another way than they are compared."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    yield from (left + right[1:] for left, right in cuts if right)
    yield from (left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1)
    yield from (left + letter + right[1:] for left, right in cuts if right for letter in letters)
    yield from (left + letter + right for left, right in cuts for letter in letters)


def test_one_typing_error_is_what_it_says():
    near = set(errors_of("ring"))
    assert all(is_one_error(word, "ring") and is_one_error("ring", word) for word in near)
    strange = [
        "",
        "r",
        "rin",
        "gnir",
        "rnig",
        "irng",
        "rings",
        "strings",
        "bring",
        "rign",
        "king",
        "kong",
        "rongs",
        "in",
    ]
    assert [is_one_error(word, "ring") for word in strange] == [word in near for word in strange]


def test_short_words_must_be_right():
    known = KnownWords(["red", "what", "cube"])
    assert known.unknown("bed rde wht wat cbue") == ("bed", "rde")


def test_an_endless_word_is_unknown_at_once(known):
    assert known.unknown("a" * 100_000) == ("a" * 100_000,)
    assert known.unknown("가" * 10_000) == ("가" * 10_000,)
