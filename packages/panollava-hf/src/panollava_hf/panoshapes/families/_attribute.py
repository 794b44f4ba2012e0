"""The colour of a shape or the shape of a colour: "What shape is the blue object?" → "torus"."""

from collections.abc import Iterable

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._scene import COLOURS, SHAPES, Scene
from panollava_hf.panoshapes.families._family import KIND, Family, Program, about_kind, number_of_objects, shuffled


def _propose(scene: Scene, rng: np.random.Generator, limit: int) -> Iterable[Program]:
    colours = shuffled(rng, [{"family": "attribute", "ask": "colour", "shape": shape} for shape in SHAPES])
    shapes = shuffled(rng, [{"family": "attribute", "ask": "shape", "colour": colour} for colour in COLOURS])
    sides = [[program for program in side if _answer(scene, program)] for side in (colours, shapes)]
    while any(sides):
        side = sides[int(rng.integers(2))]
        if side:
            yield side.pop()


def _answer(scene: Scene, program: Program) -> str | None:
    found = scene.only(program.get("colour"), program.get("shape"))
    if found is None:
        return None
    return found.colour if program["ask"] == "colour" else found.shape


def _wordings(program: Program) -> tuple[str, ...]:
    asked = program["ask"]
    thing = program["shape"] if asked == "colour" else f"{program['colour']} object"
    return f"What {asked} is the {thing}?", f"Which {asked} does the {thing} have?"


def _validate(program: Program) -> None:
    """A program names the object by the attribute that it does not ask for."""
    asked = program["ask"]
    given = "shape" if asked == "colour" else "colour"
    if given not in program or asked in program:
        raise PanoShapesError(f"a program that asks for a {asked} needs a {given} and no {asked}; got {dict(program)}")


def _difficulty(scene: Scene, program: Program) -> int:
    """0 for the shape of a single object.

    A model that is trained from scratch tells colours apart almost immediately, with nearly any random filter. Once it
    answers with colours it no longer learns shapes (see the experiment log), so shapes come first.
    """
    alone = len(scene.objects) == 1
    return 0 if alone and program["ask"] == "shape" else number_of_objects(scene, program)


FAMILY = Family(
    name="attribute",
    arguments={"ask": ("colour", "shape"), **KIND},
    optional=("colour", "shape"),
    propose=_propose,
    answer=_answer,
    wordings=_wordings,
    validate=_validate,
    asked_about=about_kind,
    difficulty=_difficulty,
)
