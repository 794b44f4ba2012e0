import io

import numpy as np
from panollava_hf.evaluation._directions import confusion, draw
from PIL import Image


def test_counts():
    found = confusion(["front", "front", "above", "left"], ["Front.", "left", "a cube", "left"])
    place = {label: index for index, label in enumerate(found["columns"])}
    counts = np.array(found["counts"])
    assert counts.sum() == 4
    assert counts[place["front"], place["front"]] == 1
    assert counts[place["front"], place["left"]] == 1
    assert counts[place["above"], place["other"]] == 1
    assert counts[place["left"], place["left"]] == 1


def test_expected_words_that_are_no_direction_get_a_row():
    found = confusion(["north"], ["north"])
    assert found["labels"][-1] == "north"
    assert found["counts"][-1][-2] == 1


def test_nothing_asked_is_nothing_counted():
    assert confusion([], []) is None


def test_the_picture_shows_what_is_right():
    right = confusion(["front", "left"] * 5, ["front", "left"] * 5)
    with (
        Image.open(io.BytesIO(draw(right, "right"))) as image,
        Image.open(io.BytesIO(draw(confusion(["front"], ["left"]), "wrong"))) as other,
    ):
        assert image.format == "PNG"
        assert min(image.size) > 600
        assert np.asarray(image.convert("RGB")).std() > 20
        assert image.tobytes() != other.tobytes()
