import numpy as np
import pytest
import torch
from panollava_hf._errors import EvaluationError
from panollava_hf.evaluation._panoramas import prepared
from panollava_hf.evaluation.metrics._rotation import ROTATED, expected_after, rotated
from panollava_hf.panoshapes import DIRECTIONS, render_scene


@pytest.mark.parametrize(
    ("before", "truth", "after", "expected"),
    [
        ("front", "front", "right", "right"),  # right before: right after
        ("left", "front", "right", "front"),  # wrong before: turns along
        ("above", "front", "right", "above"),  # above stays above
        ("red cube", "red cube", "red cube", "red cube"),
        ("blue cone", "red cube", "red cube", "blue cone"),
        ("The Left.", "left", "back", "back"),
        ("left", "front", "front", "left"),  # the panorama turned by less than a sector
        ("red cube", "front", "right", None),  # cannot turn
        ("", "front", "right", None),
    ],
)
def test_the_answer_of_a_consistent_model_after_a_rotation(before, truth, after, expected):
    assert expected_after(before, truth, after) == expected


def test_a_model_that_uses_the_image_is_consistent_and_one_that_does_not_is_not(questions, predict_all):
    probe = rotated(questions, "90", seed=0)
    asked = [question for question in questions if not question.is_caption]
    assert len(probe.questions) == len(asked)
    expected = {question.index: question.answer for question in questions}
    seeing = {ROTATED: (probe.questions, lambda question: question.answer)}
    found = probe.metric(questions, predict_all(asked, lambda question: question.answer, **seeing))
    assert found.unanswerable == 0  # sectors turn onto sectors
    assert found.yaw_deg == "90"
    assert (found.exact_match, found.consistency, found.count) == (1, 1, len(asked))
    assert sum(family.count for family in found.families.values()) == len(asked)
    assert found.changing.count > 0
    blind = {ROTATED: (probe.questions, lambda question: expected[question.index])}
    found = probe.metric(questions, predict_all(asked, lambda question: question.answer, **blind))
    assert found.changing.consistency == 0
    assert found.consistency == pytest.approx(1 - found.changing.count / len(asked))
    for question in probe.questions:
        if question.family == "where" and expected[question.index] in DIRECTIONS[:8]:
            turned = DIRECTIONS.index(question.answer) - DIRECTIONS.index(expected[question.index])
            assert turned % 8 == 2


def test_a_question_without_both_predictions_is_not_counted(questions, predict_all):
    probe = rotated(questions, "90", seed=0)
    some = probe.questions[3:]
    predictions = predict_all(questions.rows[:10], lambda q: "", **{ROTATED: (some, lambda q: "")})
    both = {question.index for question in some} & {question.index for question in questions.rows[:10]}
    assert probe.metric(questions, predictions).count == len(both)


def test_random_yaws_are_one_for_a_panorama_and_repeat_with_the_seed(questions):
    asked = rotated(questions, "random", seed=3).questions
    yaws = {question.key: question.yaw_deg for question in asked}
    assert all(yaws[question.key] == question.yaw_deg for question in asked)
    assert len(set(yaws.values())) > 4
    assert all(0 < yaw < 360 and (yaw * 256 / 360).is_integer() for yaw in yaws.values())
    unanswerable = rotated(questions, "random", seed=3).metric.keywords["unanswerable"]
    assert len(asked) + unanswerable == sum(not question.is_caption for question in questions)
    assert rotated(questions, "random", seed=3).questions == asked
    assert rotated(questions, "random", seed=4).questions != asked


def test_questions_without_scenes_cannot_be_rotated(make_question, make_questions):
    with pytest.raises(EvaluationError, match="no question has a scene"):
        rotated(make_questions([make_question()]), "90", seed=0)


def test_the_image_is_rotated_like_the_scene(questions, answerer):
    yaw_deg = 45.0  # 32 of 256 columns
    probe = rotated(questions, "45", seed=0)
    asked = next(question for question in probe.questions if question.index == questions.rows[0].index)
    views = prepared(answerer, asked).memo["pixel_values"]
    drawn = torch.from_numpy(render_scene(asked.scene.rotated(yaw_deg), 256)).permute(2, 0, 1)
    wrong = torch.from_numpy(render_scene(asked.scene.rotated(-yaw_deg), 256)).permute(2, 0, 1)

    def cut(panorama):
        return answerer.processor.image_processor([panorama])["pixel_values"]

    difference = (views - cut(drawn)).abs().mean()
    assert difference < 0.01
    assert (views - cut(wrong)).abs().mean() > 10 * difference + 0.01
    assert np.isclose(asked.yaw_deg, yaw_deg)
