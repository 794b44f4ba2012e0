"""How many objects there are, of a colour, of a shape, or at all: "How many cubes are there?" → "2"."""

from collections.abc import Iterable

import numpy as np

from panollava_hf.panoshapes._scene import COLOURS, SHAPES, Scene
from panollava_hf.panoshapes.families._family import KIND, Family, Program, shuffled

#: Share of scenes where all objects are counted: the only count whose answers are uniformly distributed.
_ALL_OBJECTS_CHANCE = 0.5
_PLURALS = {"torus": "toruses"}


def _propose(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    """All objects in half of the scenes. Then colours and shapes, every count that occurs being about as likely."""
    if rng.random() < _ALL_OBJECTS_CHANCE:
        yield {"family": "count"}
    by_count: dict[int, list[Program]] = {}
    for name, values in (("colour", COLOURS), ("shape", SHAPES)):
        for value in values:
            by_count.setdefault(len(scene.matching(**{name: value})), []).append({"family": "count", name: value})
    queues = [(count, shuffled(rng, programs)) for count, programs in by_count.items()]
    while queues:
        # Counts above 1 are rare over all scenes, so they get more weight in scenes that have them.
        weights = np.array([4.0 if count > 1 else 1.0 for count, _ in queues])
        place = int(rng.choice(len(queues), p=weights / weights.sum()))
        yield queues[place][1].pop()
        queues = [(count, programs) for count, programs in queues if programs]


def _answer(scene: Scene, program: Program) -> str:
    return str(len(scene.matching(program.get("colour"), program.get("shape"))))


def _wordings(program: Program) -> tuple[str, ...]:
    colour, shape = program.get("colour"), program.get("shape")
    kind = _PLURALS.get(shape, f"{shape}s") if shape else "objects"
    kind = f"{colour} {kind}" if colour else kind
    return f"How many {kind} are there?", f"How many {kind} can you see?", f"Count the {kind}."


FAMILY = Family(
    name="count",
    arguments=KIND,
    optional=("colour", "shape"),
    propose=_propose,
    answer=_answer,
    wordings=_wordings,
)
