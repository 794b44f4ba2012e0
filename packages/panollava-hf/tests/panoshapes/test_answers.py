"""Every answer, compared with an oracle that reads an image of object indices instead of the objects' coordinates."""

import itertools
import json
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes import COLOURS, DIRECTIONS, SHAPES, Scene, answer, questions, sample_scene
from panollava_hf.panoshapes._questions import wordings
from panollava_hf.panoshapes._render import object_ids
from panollava_hf.panoshapes._scene import Ground, SceneObject, Sky
from panollava_hf.panoshapes.families import family_names

WIDTH = 512


def rays():
    longitude = np.radians((np.arange(WIDTH) + 0.5) / WIDTH * 360 - 180)
    latitude = np.radians(90 - (np.arange(WIDTH // 2) + 0.5) / (WIDTH // 2) * 180)
    lon, lat = np.meshgrid(longitude, latitude)
    return np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1), np.cos(lat)


RAYS, WEIGHTS = rays()
#: Unit vectors of the directions. No object lies between 35° and 67° of pitch.
MIDDLES = np.array(
    [[np.sin(angle), 0, np.cos(angle)] for angle in np.arange(8) * np.pi / 4] + [[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]
)


class Oracle:
    """What an image shows of each object: its name, the mean direction and the area of its visible part."""

    def __init__(self, scene):
        ids, _ = object_ids(scene.objects, WIDTH)
        self.names, self.means, self.areas, self.shares = [], [], [], []
        for index, item in enumerate(scene.objects):
            seen = ids == index
            weights = WEIGHTS * seen
            mean = (RAYS * weights[..., None]).sum((0, 1))
            self.names.append((item.colour, item.shape))
            self.means.append(mean / np.linalg.norm(mean))
            self.areas.append(weights.sum())
            self.shares.append(item.visible_share)

    def direction(self, index):
        mean = self.means[index]
        if abs(mean[1]) > np.sin(np.radians(55)):
            return "above" if mean[1] > 0 else "below"
        flat = mean * [1, 0, 1] / np.hypot(mean[0], mean[2])
        return DIRECTIONS[int(np.argmax(MIDDLES[:8] @ flat))]

    def index(self, kind):
        found = [place for place, name in enumerate(self.names) if name == (kind["colour"], kind["shape"])]
        assert len(found) == 1
        return found[0]

    def answer(self, program):
        match program["family"]:
            case "what":
                found = [place for place in range(len(self.names)) if self.direction(place) == program["direction"]]
                assert len(found) == 1
                return " ".join(self.names[found[0]])
            case "where":
                return self.direction(self.index(program))
            case "count":
                wanted = {program.get("colour"), program.get("shape")} - {None}
                return str(sum(wanted <= set(name) for name in self.names))
            case "attribute":
                (wanted,) = {program.get("colour"), program.get("shape")} - {None}
                ((colour, shape),) = (name for name in self.names if wanted in name)
                return colour if program["ask"] == "colour" else shape
            case "existence":
                return "yes" if (program["colour"], program["shape"]) in self.names else "no"
            case "relative":
                first, second = (self.means[self.index(program[name])] for name in ("first", "second"))
                # Seen from above (x right, z forward), the first one is right if it is clockwise from the second one.
                return "right" if first[0] * second[2] - first[2] * second[0] > 0 else "left"
            case "distance":
                pair = [self.index(program[name]) for name in ("first", "second")]
                areas = [self.areas[place] / self.shares[place] for place in pair]
                larger = pair[int(np.argmax(areas))], pair[int(np.argmin(areas))]
                return " ".join(self.names[larger[program["ask"] == "farther"]])
            case "caption":
                order = []
                for place, name in enumerate(self.names):
                    where = self.direction(place)
                    around = np.degrees(np.arctan2(self.means[place][0], self.means[place][2]))
                    key = DIRECTIONS.index(where), (around + 22.5) % 360 if where in DIRECTIONS[:8] else 0
                    order.append((key, f"{' '.join(name)} {where}"))
                return ", ".join(text for _, text in sorted(order))


def test_answers_match_the_image(asked):
    oracles, checked = {}, Counter()
    for scene, question in asked:
        if scene.name not in oracles:
            oracles[scene.name] = Oracle(scene)
        assert question.answer == oracles[scene.name].answer(question.program), (scene.name, question)
        checked[question.family] += 1
    assert min(checked[family] for family in family_names()) > 100


def test_vocabulary_of_questions_and_answers(asked):
    closed = {
        "where": set(DIRECTIONS),
        "what": {f"{colour} {shape}" for colour in COLOURS for shape in SHAPES},
        "count": set("0123456"),
        "attribute": {*COLOURS, *SHAPES},
        "existence": {"yes", "no"},
        "relative": {"left", "right"},
    }
    closed["distance"] = closed["what"]
    words = set()
    for _, question in asked:
        assert question.question in wordings(question.program)
        assert question.family == question.program["family"]
        assert question.answer in closed.get(question.family, {question.answer})
        words |= set(question.question.strip("?.").replace(",", "").lower().split())
    assert len(words) < 80
    assert all(word.isalpha() for word in words)


def test_answers_are_hard_to_guess():
    answers = defaultdict(Counter)
    for index in range(500):
        for question in questions(sample_scene(2, "train", index), np.random.default_rng(index)):
            answers[question.family][question.answer] += 1
    limits = {
        "what": 0.07,
        "where": 0.16,
        "count": 0.33,
        "attribute": 0.16,
        "existence": 0.55,
        "relative": 0.56,
        "distance": 0.08,
        "caption": 0.05,
    }
    for family, limit in limits.items():
        counts = answers[family]
        assert max(counts.values()) / counts.total() < limit, (family, counts.most_common(3))
    assert set(answers["count"]) == set("0123456")


def test_absent_objects_are_hard_negatives(asked):
    """Most absent objects have a colour and a shape that both occur in the scene."""
    hard = [
        any(item.colour == question.program["colour"] for item in scene.objects)
        and any(item.shape == question.program["shape"] for item in scene.objects)
        for scene, question in asked
        if question.family == "existence" and question.answer == "no" and len(scene.objects) > 3
    ]
    assert np.mean(hard) > 0.6


def test_answers_of_existence_are_independent(asked):
    """The answer to one question about a scene does not predict the answer to the next one."""
    pairs = defaultdict(list)
    for scene, question in asked:
        if question.family == "existence":
            pairs[scene.name].append(question.answer == "yes")
    both = np.array([pair[:2] for pair in pairs.values() if len(pair) >= 2])
    assert abs(np.mean(both[:, 0] == both[:, 1]) - 0.5) < 0.13


def test_no_question_twice_and_limits_hold(scenes):
    for scene in scenes[:60]:
        found = questions(scene, np.random.default_rng(0), limit_per_family=2)
        programs = [json.dumps(question.program, sort_keys=True) for question in found]
        assert len(set(programs)) == len(programs)
        assert max(Counter(question.family for question in found).values()) <= 2


def test_same_rng_same_questions(scenes):
    first, second = (questions(scenes[1], np.random.default_rng(4)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_below_one(scenes, limit):
    with pytest.raises(PanoShapesError, match="questions per family: expected at least 1"):
        questions(scenes[0], np.random.default_rng(0), limit)


# Scenes written by hand, whose answers are known without any code.
SKY = Sky((0.4, 0.5, 0.8), (0.8, 0.8, 0.9), 0.0, (0.0, 0.0))
GROUND = Ground("plain", (0.5, 0.5, 0.5), (0.4, 0.4, 0.4), 1.0, 0.0, (0.0, 0.0))


def scene_of(*objects):
    """A scene of (name, yaw, pitch, distance)."""
    made = []
    for name, yaw, pitch, distance in objects:
        colour, shape = name.split()
        made.append(SceneObject(colour, shape, yaw, pitch, distance, 0.48, 25.0, 0.0, 45.0, (0.5, 0.5, 0.5)))
    return Scene("by-hand", tuple(made), SKY, GROUND, 2.8, 0.0, 40.0)


def kind(name):
    return dict(zip(("colour", "shape"), name.split(), strict=True))


def pair(family, first, second, **more):
    return {"family": family, "first": kind(first), "second": kind(second), **more}


ROOM = (("red cube", 179.0, 0.0, 2.0), ("blue sphere", -91.0, 5.0, 3.0), ("green cone", 10.0, 80.0, 1.5))


@pytest.mark.parametrize(
    ("objects", "program", "expected"),
    [
        (ROOM, {"family": "what", "direction": "back"}, "red cube"),
        (ROOM, {"family": "what", "direction": "above"}, "green cone"),
        (ROOM, {"family": "what", "direction": "front"}, None),  # no object there
        (ROOM, {"family": "where", **kind("blue sphere")}, "left"),
        (ROOM, {"family": "where", **kind("green sphere")}, None),
        (ROOM, {"family": "count"}, "3"),
        (ROOM, {"family": "count", "colour": "red"}, "1"),
        (ROOM, {"family": "count", "shape": "torus"}, "0"),
        (ROOM, {"family": "count", "colour": "red", "shape": "cone"}, "0"),
        (ROOM, {"family": "attribute", "ask": "colour", "shape": "cone"}, "green"),
        (ROOM, {"family": "attribute", "ask": "shape", "colour": "blue"}, "sphere"),
        (ROOM, {"family": "attribute", "ask": "shape", "colour": "orange"}, None),
        (ROOM, {"family": "existence", **kind("red cube")}, "yes"),
        (ROOM, {"family": "existence", **kind("red sphere")}, "no"),
        # The blue sphere is at -91°, the red cube 90° anticlockwise of it, across the seam.
        (ROOM, pair("relative", "red cube", "blue sphere"), "left"),
        (ROOM, pair("relative", "blue sphere", "red cube"), "right"),
        (ROOM, pair("relative", "green cone", "red cube"), None),  # above is neither left nor right
        (ROOM, pair("distance", "red cube", "blue sphere", ask="nearer"), "red cube"),
        (ROOM, pair("distance", "red cube", "blue sphere", ask="farther"), "blue sphere"),
        (ROOM, pair("distance", "red cube", "green cone", ask="nearer"), None),  # 2.0 is less than 1.45 × 1.5
        (ROOM, {"family": "caption"}, "red cube back, blue sphere left, green cone above"),
        # 15° from the centre of the sector is 7.5° from its border.
        ((("red cube", 15.0, 0.0, 2.0),), {"family": "where", **kind("red cube")}, None),
        ((("red cube", 14.0, 0.0, 2.0),), {"family": "where", **kind("red cube")}, "front"),
        ((("red cube", 15.0, 0.0, 2.0),), {"family": "what", "direction": "front"}, None),
        ((("red cube", 15.0, 0.0, 2.0),), {"family": "caption"}, None),
        # Another object within 8° of the border of the sector makes it ambiguous; one that is farther away does not.
        ((("red cube", 0.0, 0.0, 2.0), ("red cone", 30.0, 0.0, 2.0)), {"family": "what", "direction": "front"}, None),
        (
            (("red cube", 0.0, 0.0, 2.0), ("red cone", 31.0, 0.0, 2.0)),
            {"family": "what", "direction": "front"},
            "red cube",
        ),
        ((("red cube", 0.0, 0.0, 2.0), ("red cube", 90.0, 0.0, 2.0)), {"family": "where", **kind("red cube")}, None),
        ((("red cube", 0.0, 0.0, 2.0), ("red cone", 161.0, 0.0, 2.0)), pair("relative", "red cone", "red cube"), None),
        ((("red cube", 0.0, 0.0, 2.0), ("red cone", 19.0, 0.0, 2.0)), pair("relative", "red cone", "red cube"), None),
        (
            (("red cube", 0.0, 0.0, 2.0), ("red cone", 159.0, 0.0, 2.0)),
            pair("relative", "red cone", "red cube"),
            "right",
        ),
        # Two objects in one sector: in clockwise order across the seam; then too close together to be ordered.
        (
            (("red cube", -170.0, 0.0, 2.0), ("red cone", 170.0, 0.0, 2.0)),
            {"family": "caption"},
            "red cone back, red cube back",
        ),
        ((("red cube", -3.0, 20.0, 2.0), ("red cone", 4.0, -20.0, 2.0)), {"family": "caption"}, None),
    ],
)
def test_answers_by_hand(objects, program, expected):
    assert answer(scene_of(*objects), program) == expected


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ({}, "unknown family None: expected one of what, where"),
        ({"family": ["what"]}, "unknown family"),
        ({"family": "why"}, "unknown family 'why': expected one of what, where"),
        (
            {"family": "what"},
            "program of family 'what': missing argument 'direction' in {}; valid arguments: direction",
        ),
        ({"family": "what", "direction": "north"}, "unknown direction 'north': expected one of front, "),
        ({"family": "where", "colour": "red"}, "missing argument 'shape'"),
        ({"family": "where", "colour": "pink", "shape": "cube"}, "unknown colour 'pink'"),
        (
            {"family": "caption", "colour": "red"},
            "unknown argument 'colour' in {'colour': 'red'}; valid arguments: none",
        ),
        ({"family": "attribute", "ask": "colour", "colour": "red"}, "asks for a colour needs a shape and no colour"),
        ({"family": "attribute", "ask": "size", "shape": "cube"}, "unknown ask 'size': expected one of colour, shape"),
        ({"family": "attribute", "shape": "cube"}, "missing argument 'ask'"),
        ({"family": "relative", "first": kind("red cube")}, "missing argument 'second'"),
        (
            {"family": "relative", "first": "red cube", "second": kind("red cone")},
            "first is 'red cube'; expected an object with colour and",
        ),
        (
            {"family": "relative", "first": {"colour": "red"}, "second": kind("red cone")},
            "first: missing argument 'shape'",
        ),
        ({"family": "distance", "first": kind("red cube"), "second": kind("red cone")}, "missing argument 'ask'"),
        (pair("distance", "red cube", "red cone", ask="heavier"), "unknown ask 'heavier'"),
    ],
)
def test_invalid_programs(scenes, program, message):
    for use in (lambda: answer(scenes[0], program), lambda: wordings(program)):
        with pytest.raises(PanoShapesError, match=re.escape(message)):
            use()


def test_programs_have_different_wordings():
    kinds = [{"colour": colour, "shape": shape} for colour, shape in itertools.product(COLOURS[:2], SHAPES)]
    programs = [
        *({"family": "what", "direction": direction} for direction in DIRECTIONS),
        *({"family": family, **each} for family in ("where", "existence", "count") for each in kinds),
        *({"family": "count", "shape": shape} for shape in SHAPES),
        *(pair("distance", "red cube", "blue cone", ask=ask) for ask in ("nearer", "farther")),
        *(pair("relative", *names) for names in itertools.permutations(("red cube", "blue cone"))),
    ]
    texts = [text for program in programs for text in wordings(program)]
    assert len(set(texts)) == len(texts)
