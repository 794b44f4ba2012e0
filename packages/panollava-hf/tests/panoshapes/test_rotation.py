"""Questions rotate with the panorama, and their answers are correct for the rotated scene."""

import dataclasses

import numpy as np
import pytest
from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes import DIRECTIONS, answer, rotate_question

#: Families whose questions and answers do not depend on the position of the seam.
UNMOVED = ("count", "attribute", "existence", "relative", "distance")


@pytest.mark.parametrize("yaw_deg", [-170.0, -33.3, 0.5, 90.0, 123.0, 359.0])
def test_answers_of_rotated_questions(asked, yaw_deg):
    kept = 0
    for scene, question in asked:
        turned = rotate_question(question, scene, yaw_deg)
        if turned is None:
            assert question.family in ("what", "where", "caption")
            continue
        kept += 1
        assert turned.answer == answer(scene.rotated(yaw_deg), turned.program)
        assert turned.family == question.family
        if question.family in UNMOVED:
            assert turned == question
        if question.family == "what":
            assert turned.answer == question.answer  # the same object, in another direction
    assert kept > 0.6 * len(asked)


@pytest.mark.parametrize("steps", range(-3, 5))
def test_eighths_of_a_turn_move_directions_by_one(asked, steps):
    """A rotation by whole sectors makes no answer ambiguous, so every question is kept."""
    for scene, question in asked[:1200]:
        turned = rotate_question(question, scene, 45.0 * steps)
        if question.family == "caption":  # two objects of a sector keep their order; another sector may come first
            words = [set(part.split()) - set(" ".join(DIRECTIONS).split()) for part in question.answer.split(", ")]
            again = [set(part.split()) - set(" ".join(DIRECTIONS).split()) for part in turned.answer.split(", ")]
            assert sorted(map(sorted, words)) == sorted(map(sorted, again))
            continue
        assert turned is not None
        for before, after in (
            (question.program.get("direction"), turned.program.get("direction")),
            (question.answer, turned.answer),
        ):
            if before in DIRECTIONS[:8] and question.family in ("what", "where"):
                assert after == DIRECTIONS[(DIRECTIONS.index(before) + steps) % 8]
            elif question.family != "what":
                assert after == before


def test_wording_is_kept(asked):
    turned = [rotate_question(question, scene, 90.0) for scene, question in asked]
    for (_, before), after in zip(asked, turned, strict=True):
        if after is not None and before.family == "what":
            assert after.question.split()[0:2] == before.question.split()[0:2]
            assert after.program["direction"] in after.question


def test_there_and_back(asked):
    for scene, question in asked[::3]:
        yaw_deg = float(np.random.default_rng(len(question.question)).integers(1, 360))
        turned = rotate_question(question, scene, yaw_deg)
        if turned is not None:
            assert rotate_question(turned, scene.rotated(yaw_deg), -yaw_deg) == question


def test_question_that_is_not_a_wording_of_its_program(asked):
    scene, question = asked[0]
    with pytest.raises(PanoShapesError, match="'Well\\?' is not a wording of the program"):
        rotate_question(dataclasses.replace(question, question="Well?"), scene, 10.0)


def test_a_question_about_another_scene(asked, scenes):
    question = next(each for _, each in asked if each.family == "what")
    stranger = next(scene for scene in scenes if answer(scene, question.program) is None)
    with pytest.raises(PanoShapesError, match="has no unambiguous answer to"):
        rotate_question(question, stranger, 10.0)
