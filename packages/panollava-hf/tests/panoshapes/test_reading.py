"""Reading datasets: scenes, questions, and examples that rotate with their panorama."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes import Question, answer, read_scenes, sample_scene, scene_rotation, write_panoshapes


@dataclasses.dataclass(frozen=True)
class Example:
    """What a table reader makes of a row."""

    question: str
    answer: str
    extra: dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_panoshapes(tmp_path_factory.mktemp("data") / "shapes", "train", 25, width=64, workers=1)


@pytest.fixture(scope="module")
def groups(folder):
    """The examples of each scene."""
    groups = {}
    for row in map(json.loads, (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()):
        extra = {name: row[name] for name in ("scene", "family", "program")}
        groups.setdefault(row["scene"], []).append(Example(row["question"], row["answer"], extra))
    return groups


def test_scenes_are_read_as_sampled(folder):
    scenes = read_scenes(folder / "scenes-train.jsonl")
    assert scenes == {f"train-{index:06d}": sample_scene(0, "train", index) for index in range(25)}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2 is not a scene \(Expecting property name"),
        ("[]", "line 2 is not a scene"),
        ('{"name": "x"}', r"line 2 is not a scene: not a PanoShapes scene \('objects'\); expected"),
    ],
)
def test_invalid_lines(folder, tmp_path, line, message):
    first = (folder / "scenes-train.jsonl").read_text(encoding="utf-8").splitlines()[0]
    path = tmp_path / "scenes-train.jsonl"
    path.write_text(f"{first}\n{line}\n")
    with pytest.raises(PanoShapesError, match=message):
        read_scenes(path)


def test_questions_are_parsed(asked):
    for _, question in asked[:200]:
        text = json.dumps(question.program)
        assert Question.parse(question.question, question.answer, text) == question


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "is not a JSON object"),
        ('{"family": "why"}', "unknown family 'why'"),
        ('{"family": "what"}', "missing argument 'direction'"),
    ],
)
def test_invalid_programs(program, message):
    with pytest.raises(PanoShapesError, match=message):
        Question.parse("What?", "red cube", program)


def test_examples_rotate_with_their_scene(folder, groups):
    rotation, scenes = scene_rotation(folder, "train"), read_scenes(folder / "scenes-train.jsonl")
    changed = 0
    for name, examples in groups.items():
        rotated = scenes[name].rotated(100.0)
        for before, after in zip(examples, rotation.rotate(examples, 100.0), strict=True):
            if after is None:
                continue
            program = json.loads(after.extra["program"])
            assert after.answer == answer(rotated, program)
            assert (after.extra["scene"], after.extra["family"]) == (name, before.extra["family"])
            second = program.get("second") if before.extra["family"] == "relative" else None
            found = [item.yaw_deg for item in rotated.objects if second == {"colour": item.colour, "shape": item.shape}]
            assert after.extra["aside"] == (abs(found[0]) if second else 0)
            changed += after.answer != before.answer
    assert changed > 10


def test_random_yaws(folder, groups):
    rotation, rng = scene_rotation(folder, "train"), np.random.default_rng(0)
    examples = next(iter(groups.values()))
    yaws = [rotation.random_yaw(examples, rng) for _ in range(400)]
    assert min(yaws) >= 0
    assert max(yaws) < 360
    assert np.histogram(yaws, 4, (0, 360))[0].min() > 70  # 100 expected


def test_random_yaws_with_a_limit_bring_a_reference_to_the_front(folder, groups):
    rotation, rng = scene_rotation(folder, "train"), np.random.default_rng(0)
    compared = 0
    for examples in groups.values():
        relative = [example for example in examples if example.extra["family"] == "relative"]
        for _ in range(5):
            turned = rotation.rotate(relative, rotation.random_yaw(examples, rng, 15.0)) if relative else []
            asides = [example.extra["aside"] for example in turned if example is not None]
            assert not asides or min(asides) <= 15.0 + 1e-9
            compared += len(asides)
    assert compared > 40


def test_rotation_needs_the_scenes(folder, tmp_path, groups):
    with pytest.raises(
        PanoShapesError, match=r"scenes-test\.jsonl does not exist: only PanoShapes questions can rotate"
    ):
        scene_rotation(folder, "test")
    example = next(iter(groups.values()))[0]
    stranger = dataclasses.replace(example, extra={**example.extra, "scene": "test-000000"})
    with pytest.raises(PanoShapesError, match="unknown scene 'test-000000'"):
        scene_rotation(folder, "train").rotate([stranger], 10.0)
