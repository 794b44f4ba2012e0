import io

import numpy as np
import pytest
from panollava_hf.evaluation.metrics._directions import directions, draw
from PIL import Image


@pytest.fixture
def count(make_question, make_questions, predict_all):
    def count(answers, predictions):
        rows = [make_question(i, answer=answer, family="where") for i, answer in enumerate(answers)]
        other = make_question(len(rows), answer="front", family="relative")
        predicted = [*predictions, "front"]
        table = [*rows, other]
        return directions(make_questions(table), predict_all(table, lambda question: predicted[question.index]))

    return count


def test_counts(count):
    found = count(["front", "front", "above", "left"], ["Front.", "left", "a cube", "left"])
    place = {label: index for index, label in enumerate(found.columns)}
    counts = np.array(found.counts)
    assert counts.sum() == 4
    assert counts[place["front"], place["front"]] == 1
    assert counts[place["front"], place["left"]] == 1
    assert counts[place["above"], place["other"]] == 1
    assert counts[place["left"], place["left"]] == 1


def test_expected_words_that_are_not_a_direction_get_a_row(count):
    found = count(["north"], ["north"])
    assert found.labels[-1] == "north"
    assert found.counts[-1][-2] == 1


def test_without_questions_there_is_no_result(count):
    assert count([], []) is None


def test_the_figure_shows_the_counts(count):
    right = count(["front", "left"] * 5, ["front", "left"] * 5)
    with (
        Image.open(io.BytesIO(draw(right, "right"))) as image,
        Image.open(io.BytesIO(draw(count(["front"], ["left"]), "wrong"))) as other,
    ):
        assert image.format == "PNG"
        assert min(image.size) > 600
        assert np.asarray(image.convert("RGB")).std() > 20
        assert image.tobytes() != other.tobytes()
