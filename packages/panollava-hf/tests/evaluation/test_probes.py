import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_hf._errors import EvaluationError
from panollava_hf.asking._prefix import Asker
from panollava_hf.evaluation import Row
from panollava_hf.evaluation._answering import Item, _load
from panollava_hf.evaluation._prior import Template, answer_prior
from panollava_hf.evaluation._probes import consistency, expected_after, rotated, shuffled
from panollava_hf.evaluation._scenes import ELSEWHERE, POLES, SEAM, WORDS, place_of
from panollava_hf.panoshapes import DIRECTIONS, render_scene


def row(index=0, key="a", question="What?", answer="x", family="what"):
    return Row(index, f"row {index}", key, key, question, answer, family)


@given(pictures=st.lists(st.integers(0, 9), min_size=2, max_size=40), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_shuffling_never_gives_a_scene_its_own_image(pictures, seed):
    rows = [row(i, str(picture)) for i, picture in enumerate(pictures)]
    if len(set(pictures)) == 1:
        with pytest.raises(EvaluationError, match="at least two panoramas"):
            shuffled(rows, seed)
        return
    items = shuffled(rows, seed)
    assert all(item.key != item.row.key and item.image == item.key for item in items)
    # one picture for all questions of a scene, and every picture used: the answer prior stays what it was
    assert len({(item.row.key, item.key) for item in items}) == len({item.key for item in items}) == len(set(pictures))


def test_the_prior_is_the_most_frequent_answer_of_a_template():
    asked = [("Is there a red cube?", "yes"), ("Is there a blue cone?", "yes"), ("Is there a red cone?", "no")]
    asked += [("Which is nearer, the red cube or the blue cone?", "red cube")] * 2
    asked += [("Which is nearer, the blue cone or the red cube?", "blue cone")] * 2
    asked += [("Which is nearer, the blue cone or the red torus?", "red torus")]
    families = ["existence"] * 3 + ["distance"] * 5
    rows = [row(i, question=q, answer=a, family=f) for i, ((q, a), f) in enumerate(zip(asked, families, strict=True))]
    prior = answer_prior(rows, WORDS)
    assert prior["existence"] == pytest.approx(2 / 3)
    assert prior["distance"] == pytest.approx(4 / 5)  # naming the first is better than any constant (2 of 5)


def test_the_prior_of_captions_is_no_matter():
    assert answer_prior([row(family="caption")], WORDS) == {}


def test_a_template_takes_directions_whole():
    assert Template(WORDS).split("What is to the back left?") == ("what is to *", ["back left"])
    assert Template(WORDS).split("How many toruses are there?") == ("how many * are there", ["torus"])


@pytest.mark.parametrize(
    ("before", "truth", "after", "expected"),
    [
        ("front", "front", "right", "right"),  # right before: right after
        ("left", "front", "right", "front"),  # wrong before: turns along
        ("above", "front", "right", "above"),  # what is overhead stays there
        ("red cube", "red cube", "red cube", "red cube"),
        ("blue cone", "red cube", "red cube", "blue cone"),
        ("The Left.", "left", "back", "back"),
        ("left", "front", "front", "left"),  # the panorama turned by less than a sector
        ("red cube", "front", "right", None),  # cannot turn
        ("", "front", "right", None),
    ],
)
def test_what_a_consistent_model_says_after_a_rotation(before, truth, after, expected):
    assert expected_after(before, truth, after) == expected


def said(items, answer):
    return {item.row.index: {"prediction": answer(item), "correct": answer(item) == item.answer} for item in items}


def test_a_model_that_looks_is_consistent_and_one_that_does_not_is_not(rows, scenes):
    items, unanswerable = rotated(rows.rows, scenes, 90.0, seed=0)
    asked = [r for r in rows.rows if not r.is_caption]
    assert unanswerable == 0  # sectors turn onto sectors
    assert len(items) == len(asked)
    before = {r.index: {"prediction": r.answer, "correct": True} for r in asked}
    found = consistency(items, before, said(items, lambda item: item.answer))
    assert (found["exact_match"], found["consistency"], found["count"]) == (1, 1, len(asked))
    assert found["changing"]["count"] > 0
    blind = consistency(items, before, said(items, lambda item: item.row.answer))
    assert blind["changing"]["consistency"] == 0
    assert blind["consistency"] == pytest.approx(1 - blind["changing"]["count"] / len(asked))
    where = [item for item in items if item.row.family == "where" and item.row.answer in DIRECTIONS[:8]]
    for item in where:
        assert DIRECTIONS.index(item.answer) == (DIRECTIONS.index(item.row.answer) + 2) % 8


def test_random_yaws_are_one_for_a_panorama_and_come_again_with_the_seed(rows, scenes):
    items, unanswerable = rotated(rows.rows, scenes, None, seed=3)
    yaws = {item.key: item.yaw_deg for item in items}
    assert all(yaws[item.key] == item.yaw_deg for item in items)
    assert len(set(yaws.values())) > 4
    assert all(0 < yaw < 360 and (yaw * 256 / 360).is_integer() for yaw in yaws.values())
    assert len(items) + unanswerable == sum(not r.is_caption for r in rows.rows)
    assert rotated(rows.rows, scenes, None, seed=3)[0] == items
    assert rotated(rows.rows, scenes, None, seed=4)[0] != items


def test_the_picture_is_rolled_as_the_scene_is(rows, scenes, answerer):
    first = rows.rows[0]
    yaw_deg = 45.0  # 32 of 256 columns
    asker = Asker(answerer)
    (views,) = _load(asker, [[Item(first, first.key, first.image, "", "", yaw_deg)]])
    drawn = torch.from_numpy(render_scene(scenes[first.scene].rotated(yaw_deg), 256)).permute(2, 0, 1)
    wrong = torch.from_numpy(render_scene(scenes[first.scene].rotated(-yaw_deg), 256)).permute(2, 0, 1)
    apart = (views - asker.look([drawn])).abs()
    assert apart.mean() < 0.01
    assert (views - asker.look([wrong])).abs().mean() > 10 * apart.mean() + 0.01


def scene_with(scenes, *places):
    """A scene of objects at (yaw, pitch), in the order red cube, blue cone, green torus."""
    scene = next(iter(scenes.values()))
    kinds = [("red", "cube"), ("blue", "cone"), ("green", "torus")]
    objects = tuple(
        dataclasses.replace(scene.objects[0], colour=colour, shape=shape, yaw_deg=yaw, pitch_deg=pitch)
        for (colour, shape), (yaw, pitch) in zip(kinds, places, strict=False)
    )
    return dataclasses.replace(scene, objects=objects)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((170, 0), SEAM),
        ((-166, 10), SEAM),
        ((164, 0), ELSEWHERE),
        ((0, 0), ELSEWHERE),
        ((178, 60), POLES),
        ((0, -50), POLES),
    ],
)
def test_where_the_object_asked_about_is(scenes, place, expected):
    scene = scene_with(scenes, place)
    for program in (
        {"family": "where", "colour": "red", "shape": "cube"},
        {"family": "attribute", "ask": "colour", "shape": "cube"},
    ):
        assert place_of(scene, program, "") == expected
    direction = scene.objects[0].direction
    assert place_of(scene, {"family": "what", "direction": direction}, "red cube") == expected


def test_one_of_two_objects_is_enough_and_none_is_nowhere(scenes):
    scene = scene_with(scenes, (0, 0), (180, 0))
    pair = {"first": {"colour": "red", "shape": "cube"}, "second": {"colour": "blue", "shape": "cone"}}
    assert place_of(scene, {"family": "relative", **pair}, "left") == SEAM
    assert place_of(scene, {"family": "existence", "colour": "green", "shape": "cube"}, "no") is None
    assert place_of(scene, {"family": "count", "colour": "red"}, "1") is None


def test_yaws_of_scenes_are_read_as_written(scenes, shapes):
    first = json.loads((shapes / "scenes-test.jsonl").read_text().splitlines()[0])
    yaws = [item["yaw_deg"] for item in first["objects"]]
    assert np.allclose([item.yaw_deg for item in scenes[first["name"]].objects], yaws)
