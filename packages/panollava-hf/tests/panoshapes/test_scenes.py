"""Sampling: seeds, splits, JSON, and the guarantees about the positions of objects."""

import json
from collections import Counter

import numpy as np
import pytest
from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes import COLOURS, DIRECTIONS, SHAPES, Scene, sample_scene
from panollava_hf.panoshapes._scene import SPLITS, direction_name


def objects(scenes):
    return [item for scene in scenes for item in scene.objects]


def test_same_seed_same_scene_and_others_differ():
    assert sample_scene(1, "test", 2) == sample_scene(1, "test", 2)
    keys = [(seed, split, index) for seed in range(3) for split in SPLITS for index in range(20)]
    drawn = {json.dumps([item.yaw_deg for item in sample_scene(*key).objects]) for key in keys}
    assert len(drawn) == len(keys)  # no scene is in two splits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, "dev", 0), "unknown split 'dev': expected one of train, validation, test"),
        ((-1, "test", 0), "seed -1, index 0: expected integers of at least 0"),
        ((0, "test", -5), "index -5"),
    ],
)
def test_impossible_scenes(arguments, message):
    with pytest.raises(PanoShapesError, match=message):
        sample_scene(*arguments)


def test_json_round_trip(scenes):
    for scene in scenes[:50]:
        assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objects": None}, "not a PanoShapes scene"),
        ({"weather": "fine"}, "unexpected keyword argument 'weather'"),
        ({"sky": {}}, "missing"),
    ],
)
def test_invalid_scenes(scenes, change, message):
    with pytest.raises(PanoShapesError, match=message):
        Scene.from_dict({**scenes[0].to_dict(), **change})


@pytest.mark.parametrize(("key", "value"), [("colour", "pink"), ("shape", "teapot")])
def test_unknown_kinds(scenes, key, value):
    scene = scenes[0].to_dict()
    scene["objects"][0][key] = value
    with pytest.raises(PanoShapesError, match=f"unknown {key} '{value}'"):
        Scene.from_dict(scene)


def test_objects_are_where_they_should_be(scenes):
    for item in objects(scenes):
        assert abs(item.pitch_deg) <= 30 or 62 < abs(item.pitch_deg) < 90
        assert -180 <= item.yaw_deg < 180
        assert 0.45 < item.radius < 0.51
        assert 15 < 2 * np.degrees(np.arcsin(item.radius / item.distance)) < 50
        assert (45 <= item.tilt_deg <= 65) if item.shape == "torus" else (15 <= item.tilt_deg <= 40)


def test_objects_do_not_touch(scenes):
    for scene in scenes:
        placed = []
        for item in scene.objects:
            yaw, pitch = np.radians(item.yaw_deg), np.radians(item.pitch_deg)
            placed.append(
                item.distance * np.array([np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)])
            )
        for index, centre in enumerate(placed):
            assert centre[1] > -scene.camera_height
            for other in placed[:index]:
                assert np.linalg.norm(centre - other) > 0.9


def test_uniform_distributions():
    """Chi-squared at 0.1 % (tables of scipy) for numbers of objects and sectors of horizontal objects."""
    scenes = [sample_scene(9, "train", index) for index in range(700)]
    counts = Counter(len(scene.objects) for scene in scenes)
    assert chi_squared([counts[number] for number in range(1, 7)]) < 20.5
    everything = objects(scenes)
    horizontal = [item for item in everything if item.horizontal]
    sectors = Counter(item.direction for item in horizontal)
    assert chi_squared([sectors[name] for name in DIRECTIONS[:8]]) < 24.3
    # Scenes with only two colours or shapes increase the variance of these counts: compare with a fixed bound.
    for kinds, values in (
        (COLOURS, [item.colour for item in everything]),
        (SHAPES, [item.shape for item in everything]),
    ):
        shares = np.array([values.count(kind) for kind in kinds]) / len(values) * len(kinds)
        assert abs(shares - 1).max() < 0.15
    assert 0.03 < np.mean([item.visible_share < 0.99 for item in everything]) < 0.3
    seam = np.mean([abs(item.yaw_deg) > 170 for item in horizontal]) * 18
    assert 0.75 < seam < 1.45  # across the seam about as often as in front
    poles = Counter(item.direction for item in everything if not item.horizontal)
    assert min(poles["above"], poles["below"]) > 0.07 * len(everything)


def chi_squared(counts):
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 / expected for count in counts)


@pytest.mark.parametrize(
    ("yaw", "pitch", "name"),
    [
        (0, 0, "front"),
        (22.4, 30, "front"),
        (22.6, -30, "front right"),
        (-22.6, 0, "front left"),
        (90, 39, "right"),
        (-90, 0, "left"),
        (179.9, 0, "back"),
        (-180, 0, "back"),
        (135, 0, "back right"),
        (-135, 0, "back left"),
        (0, 41, "above"),
        (170, -41, "below"),
    ],
)
def test_directions(yaw, pitch, name):
    assert direction_name(yaw, pitch) == name


def test_rotated_scene(scenes):
    scene = scenes[3]
    rotated = scene.rotated(100)
    for before, after in zip(scene.objects, rotated.objects, strict=True):
        assert (after.yaw_deg - before.yaw_deg - 100) % 360 == pytest.approx(0, abs=1e-6)
        assert after.pitch_deg == before.pitch_deg
    assert rotated.rotated(-100) == scene
    assert scene.rotated(360) == scene
