import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from panollava_hf.evaluation.metrics._without_image import SHUFFLED, Template, answer_prior, shuffled
from panollava_hf.panoshapes import COLOURS, DIRECTIONS, SHAPES

WORDS = (*COLOURS, *SHAPES, *DIRECTIONS)


@given(images=st.lists(st.integers(0, 9), min_size=2, max_size=40), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_shuffling_never_gives_a_scene_its_own_image(make_question, make_questions, images, seed):
    assume(len(set(images)) > 1)
    questions = make_questions(make_question(i, key=str(image)) for i, image in enumerate(images))
    asked = shuffled(questions, seed).questions
    pairs = {(before.key, after.key) for before, after in zip(questions, asked, strict=True)}
    assert all(before != after for before, after in pairs)
    assert all(question.image == question.key for question in asked)
    # one image for all questions of a scene, and every image used: the answer prior stays what it was
    assert len(pairs) == len({after for _, after in pairs}) == len(set(images))


def test_shuffled_images_are_compared_with_the_answer_prior(make_question, make_questions, predict_all):
    rows = [make_question(0, key="a", answer="1"), make_question(1, key="b", answer="2")]
    questions = make_questions(rows)
    probe = shuffled(questions, seed=0)
    predictions = predict_all(rows, lambda q: q.answer, **{SHUFFLED: (probe.questions, lambda q: "1")})
    found = probe.metric(questions, predictions)
    assert found.to_json() == {
        "exact_match": 0.5,
        "count": 2,
        "families": {"what": {"exact_match": 0.5, "count": 2}},
        "answer_prior": 0.5,
    }


def test_the_prior_is_the_most_frequent_answer_of_a_template(make_question, make_questions, predict_all):
    asked = [("Is there a red cube?", "yes"), ("Is there a blue cone?", "yes"), ("Is there a red cone?", "no")]
    asked += [("Which is nearer, the red cube or the blue cone?", "red cube")] * 2
    asked += [("Which is nearer, the blue cone or the red cube?", "blue cone")] * 2
    asked += [("Which is nearer, the blue cone or the red torus?", "red torus")]
    families = ["existence"] * 3 + ["distance"] * 5
    rows = [make_question(question=q, answer=a, family=f) for (q, a), f in zip(asked, families, strict=True)]
    prior = answer_prior(make_questions(rows), predict_all(rows, lambda question: ""))
    assert prior.families["existence"] == pytest.approx(2 / 3)
    assert prior.families["distance"] == pytest.approx(4 / 5)  # naming the first is better than any constant (2 of 5)
    assert prior.exact_match == pytest.approx((2 + 4) / 8)


def test_unique_questions_have_no_prior(make_question, make_questions, predict_all):
    """A constant answer to a question that is asked once is always right, which says nothing about the model."""
    rows = [make_question(i, question=f"What is in room {i}?", answer=f"thing {i}") for i in range(12)]
    prior = answer_prior(make_questions(rows), predict_all(rows, lambda question: ""))
    assert prior.to_json() == {"exact_match": None, "families": {"what": None}}
    assert prior.table_columns() == prior.section("answer_prior") == []
    rows += [
        make_question(i, question="Is it indoors?", answer=("yes", "no")[i % 2], family="indoors") for i in range(12)
    ]
    prior = answer_prior(make_questions(rows), predict_all(rows, lambda question: ""))
    assert prior.families == {"what": None, "indoors": 0.5}
    assert prior.exact_match == (12 + 6) / 24


def test_captions_have_no_prior(make_question, make_questions, predict_all):
    rows = [make_question(family="caption")]
    prior = answer_prior(make_questions(rows), predict_all(rows, lambda question: ""))
    assert prior.to_json() == {"exact_match": None, "families": {}}


def test_a_template_takes_directions_whole():
    assert Template(WORDS).split("What is to the back left?") == ("what is to *", ["back left"])
    assert Template(WORDS).split("How many toruses are there?") == ("how many * are there", ["torus"])
