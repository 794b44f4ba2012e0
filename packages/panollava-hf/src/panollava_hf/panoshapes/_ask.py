"""Questions about a scene, chosen so that answers are hard to guess, and turned with the panorama."""

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._programs import Program, answer, only, target_in
from panollava_hf.panoshapes._scene import Scene, SceneObject
from panollava_hf.panoshapes._vocabulary import COLOURS, DIRECTIONS, FAMILIES, SHAPES
from panollava_hf.panoshapes._wording import wordings

_ALL_OBJECTS_CHANCE = 0.5  # of asking how many objects there are at all: the one count that is uniform by itself
_HARD_NEGATIVE_CHANCE = 0.75


@dataclass(frozen=True)
class Question:
    """A question with its answer.

    Attributes:
        family: One of `FAMILIES`.
        program: What is asked, as `answer` takes it.
        question: The same in English.
        answer: The right answer.
    """

    family: str
    program: Program
    question: str
    answer: str


def questions(scene: Scene, rng: np.random.Generator, limit_per_family: int = 2) -> list[Question]:
    """Ask about a scene whatever it settles, up to a limit for each family.

    Args:
        scene: What is there.
        rng: Chooses among programs and wordings.
        limit_per_family: Most questions of one family.

    Raises:
        PanoShapesError: The limit is less than one.
    """
    if limit_per_family < 1:
        raise PanoShapesError(f"{limit_per_family} questions per family: expected at least 1")
    asked: list[Question] = []
    for family in FAMILIES:
        chosen: dict[str, Question] = {}
        for program in _PROPOSALS[family](scene, rng, limit_per_family):
            if len(chosen) == limit_per_family:
                break
            key, found = json.dumps(program, sort_keys=True), answer(scene, program)
            if found is not None and key not in chosen:
                chosen[key] = Question(family, program, str(rng.choice(wordings(program))), found)
        asked.extend(chosen.values())
    return asked


def rotate_question(question: Question, scene: Scene, yaw_deg: float) -> Question | None:
    """The same question about the rolled panorama: `scene.rotated(yaw_deg)`.

    Args:
        question: About `scene`.
        scene: As it was before it was turned.
        yaw_deg: How far the panorama is rolled to the right.

    Returns:
        Its program, wording and answer turned along, or None where the turned scene does not settle it.

    Raises:
        PanoShapesError: The question does not read as its program, or it is none about this scene.
    """
    program, turned = question.program, scene.rotated(yaw_deg)
    said = wordings(program)
    if question.question not in said:
        raise PanoShapesError(f"{question.question!r} is no wording of {program}")
    if question.family == "what":
        target = target_in(scene, program["direction"])
        if target is None:
            raise PanoShapesError(f"{question.question!r} is no question about scene {scene.name}")
        program = {**program, "direction": turned.objects[scene.objects.index(target)].direction}
    found = answer(turned, program)
    if found is None:
        return None
    return Question(question.family, program, wordings(program)[said.index(question.question)], found)


def _what(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    return _shuffled(rng, [{"family": "what", "direction": direction} for direction in DIRECTIONS])


def _where(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    return _shuffled(rng, [{"family": "where", **_kind(item)} for item in scene.objects])


def _count(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    """All objects in half of the scenes; else a colour or a shape, all counts that occur being as likely."""
    if rng.random() < _ALL_OBJECTS_CHANCE:
        yield {"family": "count"}
    by_count: dict[str, list[Program]] = {}
    for name, values in (("colour", COLOURS), ("shape", SHAPES)):
        for value in values:
            program = {"family": "count", name: value}
            by_count.setdefault(str(answer(scene, program)), []).append(program)
    queues = [_shuffled(rng, programs) for programs in by_count.values()]
    while queues:
        # Large counts are rare over all scenes: they come first when a scene offers one.
        weights = np.array([1.0 + 3.0 * (int(str(answer(scene, queue[0]))) > 1) for queue in queues])
        place = int(rng.choice(len(queues), p=weights / weights.sum()))
        yield queues[place].pop()
        queues = [queue for queue in queues if queue]


def _attribute(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    colours = _shuffled(rng, [{"family": "attribute", "ask": "colour", "shape": shape} for shape in SHAPES])
    shapes = _shuffled(rng, [{"family": "attribute", "ask": "shape", "colour": colour} for colour in COLOURS])
    sides = [[program for program in side if answer(scene, program)] for side in (colours, shapes)]
    while any(sides):
        side = sides[int(rng.integers(2))]
        if side:
            yield side.pop()


def _existence(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    """As many "yes" as "no"; of the absent ones, mostly colours and shapes that occur, but not together."""
    there = {(item.colour, item.shape) for item in scene.objects}
    colours, shapes = ({kind[place] for kind in there} for place in (0, 1))
    absent = [kind for kind in itertools.product(COLOURS, SHAPES) if kind not in there]
    hard = [kind for kind in absent if kind[0] in colours and kind[1] in shapes]
    half = [kind for kind in absent if (kind[0] in colours) != (kind[1] in shapes)]
    present = _shuffled(rng, sorted(there))
    for turn in range(8 * limit):
        if rng.integers(2):  # each a toss of its own: one answer says nothing about the next
            colour, shape = present[turn % len(present)]
        else:
            pool = hard if hard and (not half or rng.random() < _HARD_NEGATIVE_CHANCE) else half or hard or absent
            colour, shape = pool[int(rng.integers(len(pool)))]
        yield {"family": "existence", "colour": colour, "shape": shape}


def _relative(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    pairs = list(_pairs(scene, rng))
    for first, second in [*pairs, *((second, first) for first, second in pairs)]:
        yield {"family": "relative", "first": first, "second": second}


def _distance(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    for first, second in _pairs(scene, rng):
        ask = ("nearer", "farther")[int(rng.integers(2))]
        yield {"family": "distance", "ask": ask, "first": first, "second": second}


def _caption(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    yield {"family": "caption"}


def _pairs(scene: Scene, rng: np.random.Generator) -> Iterable[tuple[dict[str, str], dict[str, str]]]:
    """Each pair of objects that have a name of their own once, in random order."""
    unique = [_kind(item) for item in scene.objects if only(scene, item.colour, item.shape)]
    for pair in _shuffled(rng, list(itertools.combinations(unique, 2))):
        first, second = _shuffled(rng, list(pair))
        yield first, second


def _kind(item: SceneObject) -> dict[str, str]:
    return {"colour": item.colour, "shape": item.shape}


def _shuffled(rng: np.random.Generator, values: list[Any]) -> list[Any]:
    return [values[place] for place in rng.permutation(len(values))]


_PROPOSALS: dict[str, Callable[[Scene, np.random.Generator, int], Iterable[Program]]] = {
    "what": _what,
    "where": _where,
    "count": _count,
    "attribute": _attribute,
    "existence": _existence,
    "relative": _relative,
    "distance": _distance,
    "caption": _caption,
}
