"""Random scenes whose objects are all recognisable."""

import colorsys
import dataclasses
import math

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._coverage import angular_radius_deg, direction_vector
from panollava_hf.panoshapes._render import solid_angles
from panollava_hf.panoshapes._scene import (
    CLEARANCE_DEG,
    COLOUR_VALUES,
    COLOURS,
    DECIMALS,
    SECTOR_WIDTH_DEG,
    SHAPES,
    SPLITS,
    TEXTURES,
    Colour,
    Ground,
    Scene,
    SceneObject,
    Sky,
    wrap_degrees,
)
from panollava_hf.panoshapes._solids import BOUNDING_RADIUS

#: Largest number of objects in a scene: as usual, and at most.
MAX_OBJECTS, MOST_OBJECTS = 6, 8
RADIUS, RADIUS_JITTER = 0.48, 0.05
DISTANCES = (1.25, 3.2)
#: Largest pitch of horizontal objects; the others are above or below.
MAX_PITCH_DEG = 30.0
#: At least this share of an object is visible, and at least a disc of this diameter.
MIN_VISIBLE, MIN_SEEN_DIAMETER_DEG = 0.72, 14.0
_CLEAR_SHARE = 0.87  # of the horizontal objects are clear of the borders of sectors
_POLE_CHANCE = 0.086  # times the number of objects; questions about a pole are then as frequent as about a sector
_POLE_PITCH = (63.0, 88.0)
_FEW_KINDS_CHANCE = 0.25  # of a scene to have only two colours (or two shapes), so that counts exceed 1
_CLOSE_CHANCE = 0.3  # of an object to overlap with another one in the image
_ATTEMPTS, _PLACES = 400, 40


def scene_seed(seed: int, split: str, index: int, purpose: int = 0) -> np.random.SeedSequence:
    """The seed of one scene, different for every split, index and purpose.

    Raises:
        PanoShapesError: The split is unknown, or a number is negative.
    """
    if split not in SPLITS:
        raise PanoShapesError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    if seed < 0 or index < 0:
        raise PanoShapesError(f"seed {seed}, index {index}: expected integers of at least 0")
    return np.random.SeedSequence([seed, SPLITS.index(split), index, purpose])


def sample_scene(seed: int, split: str, index: int, max_objects: int = MAX_OBJECTS) -> Scene:
    """Sample a scene. The same arguments always give the same scene.

    Args:
        seed: Seed of the whole dataset.
        split: One of `train`, `validation`, `test`.
        index: Index of the scene in its split.
        max_objects: Largest number of objects, 1 to 8; every number up to it is equally likely.

    Raises:
        PanoShapesError: The split is unknown, or a number is out of range.

    Example:
        >>> from panollava_hf.panoshapes import sample_scene
        >>> sample_scene(0, "test", 0).name
        'test-000000'
    """
    check_max_objects(max_objects)
    rng = np.random.default_rng(scene_seed(seed, split, index))
    count = int(rng.integers(1, max_objects + 1))
    scene = Scene(
        name=f"{split}-{index:06d}",
        objects=(),
        sky=_sample_sky(rng),
        ground=_sample_ground(rng),
        camera_height=_rounded(rng.uniform(2.6, 3.0)),
        light_yaw_deg=_rounded(rng.uniform(-180, 180)),
        light_pitch_deg=_rounded(rng.uniform(25, 65)),
        heading_deg=_rounded(rng.uniform(-180, 180)),
    )
    for _ in range(_ATTEMPTS):
        objects = _sample_objects(rng, count, scene.camera_height)
        if objects and (seen := _seen(objects)):
            return dataclasses.replace(scene, objects=seen)
    raise RuntimeError(f"no arrangement of {count} objects found for scene {scene.name} of seed {seed}")


def check_max_objects(max_objects: int) -> None:
    """Check the largest number of objects.

    Raises:
        PanoShapesError: It is out of range.
    """
    if not 1 <= max_objects <= MOST_OBJECTS:
        raise PanoShapesError(f"at most {max_objects} objects: expected a number from 1 to {MOST_OBJECTS}")


def _sample_objects(rng: np.random.Generator, count: int, camera_height: float) -> tuple[SceneObject, ...]:
    """`count` objects that do not touch each other; an empty tuple if they did not fit."""
    colours, shapes = _sample_kinds(rng, COLOURS), _sample_kinds(rng, SHAPES)
    poles = [sign for sign in (1, -1) if rng.random() < _POLE_CHANCE * count][:count]
    objects: list[SceneObject] = []
    for place in range(count):
        pole = poles[place] if place < len(poles) else 0
        level = [other for other in objects if other.horizontal]
        close = bool(level) and not pole and rng.random() < _CLOSE_CHANCE
        for attempt in range(_PLACES):
            item = _sample_object(rng, str(rng.choice(colours)), str(rng.choice(shapes)), pole)
            if close and attempt < _PLACES // 2:
                item = _next_to(rng, item, level[int(rng.integers(len(level)))])
            if _fits(item, objects, camera_height):
                objects.append(item)
                break
        else:
            return ()
    order = rng.permutation(count)
    return tuple(objects[place] for place in order)


def _sample_kinds(rng: np.random.Generator, kinds: tuple[str, ...]) -> tuple[str, ...]:
    few = rng.random() < _FEW_KINDS_CHANCE
    chosen = rng.choice(len(kinds), size=2, replace=False)
    return tuple(kinds[place] for place in chosen) if few else kinds


def _sample_object(rng: np.random.Generator, colour: str, shape: str, pole: int) -> SceneObject:
    if pole:
        yaw, pitch, roll = rng.uniform(-180, 180), pole * rng.uniform(*_POLE_PITCH), rng.uniform(-180, 180)
    else:
        free = SECTOR_WIDTH_DEG / 2 - CLEARANCE_DEG
        offset = rng.uniform(-free, free)
        if rng.random() > _CLEAR_SHARE:
            offset = rng.choice((-1, 1)) * rng.uniform(free, SECTOR_WIDTH_DEG / 2)
        yaw = SECTOR_WIDTH_DEG * rng.integers(8) + offset
        pitch, roll = rng.uniform(-MAX_PITCH_DEG, MAX_PITCH_DEG), rng.uniform(-10, 10)
    farthest = 2.1 if pole < 0 else DISTANCES[1]
    return SceneObject(
        colour=colour,
        shape=shape,
        yaw_deg=_rounded(wrap_degrees(yaw)),
        pitch_deg=_rounded(pitch),
        distance=_rounded(math.exp(rng.uniform(math.log(DISTANCES[0]), math.log(farthest)))),
        radius=_rounded(RADIUS * rng.uniform(1 - RADIUS_JITTER, 1 + RADIUS_JITTER)),
        # A torus shows its hole, every other shape its side and a little of its top.
        tilt_deg=_rounded(rng.uniform(45, 65) if shape == "torus" else rng.uniform(15, 38)),
        roll_deg=_rounded(roll),
        # Two sides of a cube are visible; the other shapes are round.
        spin_deg=_rounded(rng.uniform(20, 70)),
        tint=_tint(rng, colour),
    )


def _next_to(rng: np.random.Generator, item: SceneObject, other: SceneObject) -> SceneObject:
    """Move an object so close to the direction of another one that one hides a part of the other."""
    angle = rng.uniform(0.35, 0.7) * (angular_radius_deg(item) + angular_radius_deg(other))
    way = rng.uniform(0, 2 * math.pi)
    pitch = min(max(other.pitch_deg + angle * math.sin(way), -MAX_PITCH_DEG), MAX_PITCH_DEG)
    yaw = wrap_degrees(other.yaw_deg + angle * math.cos(way) / math.cos(math.radians(pitch)))
    return dataclasses.replace(item, yaw_deg=_rounded(yaw), pitch_deg=_rounded(pitch))


def _fits(item: SceneObject, others: list[SceneObject], camera_height: float) -> bool:
    """Whether the bounding ball touches neither another one nor the ground, and no object of its colour overlaps it."""
    ball = BOUNDING_RADIUS[item.shape] * item.radius
    centre = item.distance * direction_vector(item.yaw_deg, item.pitch_deg)
    if centre[1] - ball < -camera_height:
        return False
    for other in others:
        reach = BOUNDING_RADIUS[other.shape] * other.radius
        there = other.distance * direction_vector(other.yaw_deg, other.pitch_deg)
        if np.linalg.norm(centre - there) <= ball + reach + 0.05:
            return False
        cosine = float(centre @ there) / (item.distance * other.distance)
        angle = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
        touching = angular_radius_deg(item) + angular_radius_deg(other)
        if angle < (touching + 2 if item.colour == other.colour else 0.35 * touching):
            return False
    return True


def _seen(objects: tuple[SceneObject, ...]) -> tuple[SceneObject, ...]:
    """The objects with their visible shares; an empty tuple if too little of one is visible."""
    least = 2 * math.pi * (1 - math.cos(math.radians(MIN_SEEN_DIAMETER_DEG / 2)))
    angles = solid_angles(objects)
    if any(seen < max(least, MIN_VISIBLE * whole) for seen, whole in angles):
        return ()
    return tuple(
        dataclasses.replace(item, visible_share=_rounded(seen / whole))
        for item, (seen, whole) in zip(objects, angles, strict=True)
    )


def _tint(rng: np.random.Generator, colour: str) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*COLOUR_VALUES[colour])
    hue += rng.uniform(-0.008, 0.008)
    return _colour(hue, saturation * rng.uniform(0.94, 1), value * rng.uniform(0.92, 1))


def _sample_sky(rng: np.random.Generator) -> Sky:
    hue = rng.uniform(0.52, 0.66) if rng.random() < 0.8 else rng.uniform(0.0, 1.0)
    zenith = _colour(hue, rng.uniform(0.15, 0.42), rng.uniform(0.62, 0.9))
    horizon = _colour(hue + rng.uniform(-0.08, 0.08), rng.uniform(0.03, 0.14), rng.uniform(0.82, 0.96))
    cover = rng.uniform(0.4, 1.0) if rng.random() < 0.7 else 0.0
    return Sky(zenith, horizon, _rounded(cover), _pair(rng))


def _sample_ground(rng: np.random.Generator) -> Ground:
    hue, value = rng.uniform(0, 1), rng.uniform(0.42, 0.66)
    step = rng.choice((-1, 1)) * rng.uniform(0.1, 0.2)
    return Ground(
        texture=str(rng.choice(TEXTURES)),
        colour=_colour(hue, rng.uniform(0.0, 0.2), value),
        second_colour=_colour(hue + rng.uniform(-0.1, 0.1), rng.uniform(0.0, 0.2), value + step),
        scale=_rounded(rng.uniform(0.8, 2.0)),
        angle_deg=_rounded(rng.uniform(0, 180)),
        offset=_pair(rng),
    )


def _pair(rng: np.random.Generator) -> tuple[float, float]:
    return _rounded(rng.random()), _rounded(rng.random())


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return _rounded(red), _rounded(green), _rounded(blue)


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)
