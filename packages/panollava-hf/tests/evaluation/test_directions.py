import io

import numpy as np
import pytest
from panollava_geometry.drawing import PALETTE
from panollava_hf.evaluation.metrics._directions import directions
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
    right, half = (
        np.asarray(
            Image.open(io.BytesIO(count(["front", "left"] * 4, found).files("a model on data")["directions.png"]))
        )
        for found in (["front", "left"] * 4, ["front", "front"] * 4)
    )
    assert right.shape == half.shape
    assert min(right.shape[:2]) > 600
    blue = [(figure == PALETTE[5]).all(-1).sum() for figure in (right, half)]
    assert blue[0] == pytest.approx(2 * blue[1], rel=0.02)  # two wedges of the rose, and one


def test_a_figure_without_directions_and_with_odd_labels_is_drawn(count):
    found = count(["$\\frac$", "x" * 500, "a\nb"], ["left", "\x1b[31m", ""])
    assert found.files("s" * 5000)["directions.png"].startswith(b"\x89PNG")
