"""Sampling weights of a recipe: by one column, and by several."""

import json
from collections import Counter

import numpy as np
import pytest
from panollava_hf._errors import TableError
from panollava_hf.data import read_examples
from panollava_hf.data._order import ItemOrder
from panollava_hf.training._recipe import SamplingWeights
from panollava_hf.training._stage_data import sampling_weights

ROWS = [("count", "0"), ("count", "3"), ("where", "left"), ("where", "3"), ("what", "0")]


@pytest.fixture
def table(tmp_path):
    lines = [{"image": "a.png", "question": "q", "answer": answer, "family": family} for family, answer in ROWS]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return read_examples(tmp_path / "t.jsonl")


def given(**families):
    return SamplingWeights(column="family", weights=families)


def test_weights_by_two_columns_are_multiplied(table):
    answers = SamplingWeights(column="answer", weights={"3": 4, "0": 0.5})
    both = SamplingWeights(column="family", weights={"count": 2, "what": 3}, times=answers)
    assert sampling_weights(table, given(count=2, what=3)).tolist() == [2, 2, 1, 1, 3]
    assert sampling_weights(table, both).tolist() == [1, 8, 1, 4, 1.5]


def test_a_value_that_no_row_has_is_an_error_in_both(table):
    second = SamplingWeights(column="answer", weights={"9": 2})
    with pytest.raises(TableError, match="no row has '9' in the column 'answer'; its values are 0, 3, left"):
        sampling_weights(table, SamplingWeights(column="family", weights={"count": 2}, times=second))
    with pytest.raises(TableError, match="no row has 'counts' in the column 'family'"):
        sampling_weights(table, SamplingWeights(column="family", weights={"counts": 2}, times=second))


def test_questions_are_drawn_in_proportion_to_their_weights(table):
    both = SamplingWeights(weights={"count": 2}, times=SamplingWeights(column="answer", weights={"3": 4}))
    order = ItemOrder([list(range(len(ROWS)))], 4000, questions=1, seed=0, weights=sampling_weights(table, both))
    drawn = Counter(order.choose(order.groups[0], order.generator(index))[0] for index in range(order.length))
    shares = np.array([drawn[row] for row in range(len(ROWS))]) / order.length
    assert shares == pytest.approx(np.array([2, 8, 1, 4, 1]) / 16, abs=0.03)
