"""The record that describes a family of questions, and helpers that several families use.

A question is stored as a program: a JSON object whose `family` says which other arguments it has, for example
`{"family": "where", "colour": "red", "shape": "cube"}`.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._scene import COLOURS, SHAPES, Scene, SceneObject

Program = Mapping[str, Any]
#: The valid values of an argument; a mapping for an argument that is an object itself, such as a colour and a shape.
Values = tuple[str, ...] | Mapping[str, tuple[str, ...]]

#: The values of an argument that names an object.
KIND: Mapping[str, tuple[str, ...]] = {"colour": COLOURS, "shape": SHAPES}  # a dict, so that families can be pickled


def _always_valid(program: Program) -> None:
    """No rules beyond the values of the arguments."""


def _about_no_object(program: Program, answer: str) -> Sequence[Mapping[str, str]]:
    return ()


def _unchanged(program: Program, scene: Scene, rotated: Scene) -> Program:
    return program


def number_of_objects(scene: Scene, program: Program) -> int:
    """The default difficulty: 2 + the number of objects, which leaves room for easier questions."""
    return 2 + len(scene.objects)


@dataclass(frozen=True)
class Family:
    """A family of questions, for example all questions of the form "Where is the red cube?".

    The first five attributes are required. Functions must be defined at the top level of a module if scenes are written
    by several processes.

    Attributes:
        name: The value of `family` in programs and tables.
        arguments: Valid values of each argument of a program, without `family`.
        propose: `(scene, rng, limit)` → programs to ask about the scene, in order of preference. At most `limit`
            questions are asked. Programs without an answer and repeated programs are skipped.
        answer: `(scene, program)` → the answer, or None if the scene has no unambiguous one.
        wordings: `(program)` → all questions in English that ask the program. A rotated question keeps the position of
            its wording.
        optional: Arguments that a program may omit.
        validate: `(program)` → raises `PanoShapesError` for an invalid combination of valid arguments.
        asked_about: `(program, answer)` → the colour, shape or direction of each object that the question is about.
        rotate: `(program, scene, rotated scene)` → the same question about the rotated scene. By default the program
            does not change, only its answer.
        difficulty: `(scene, program)` → the column `difficulty` of tables, for curricula.
        reference: `(scene, program)` → the object that the answer is relative to. The column `aside` of tables is its
            angle to the front, for curricula; it is 0 if there is no such object.
    """

    name: str
    arguments: Mapping[str, Values]
    propose: Callable[[Scene, np.random.Generator, int], Iterable[Program]]
    answer: Callable[[Scene, Program], str | None]
    wordings: Callable[[Program], tuple[str, ...]]
    optional: tuple[str, ...] = ()
    validate: Callable[[Program], None] = _always_valid
    asked_about: Callable[[Program, str], Sequence[Mapping[str, str]]] = _about_no_object
    rotate: Callable[[Program, Scene, Scene], Program] = _unchanged
    difficulty: Callable[[Scene, Program], int] = number_of_objects
    reference: Callable[[Scene, Program], SceneObject] | None = None

    def check(self, program: Program) -> None:
        """Check the arguments of a program.

        Raises:
            PanoShapesError: An argument is missing or unknown, or has an unknown value.
        """
        given = {name: value for name, value in program.items() if name != "family"}
        _check_arguments(given, self.arguments, self.optional, f"program of family {self.name!r}")
        self.validate(program)

    def aside_deg(self, scene: Scene, program: Program) -> float:
        """Angle between the front and the object that the answer is relative to; 0 if there is no such object."""
        return 0.0 if self.reference is None else abs(self.reference(scene, program).yaw_deg)


def _check_arguments(
    given: Mapping[str, Any], arguments: Mapping[str, Values], optional: tuple[str, ...], what: str
) -> None:
    missing = [name for name in arguments if name not in given and name not in optional]
    unknown = [name for name in given if name not in arguments]
    if missing or unknown:
        wrong = f"missing argument {missing[0]!r}" if missing else f"unknown argument {unknown[0]!r}"
        names = ", ".join(arguments) or "none"
        raise PanoShapesError(f"{what}: {wrong} in {dict(given)}; valid arguments: {names}")
    for name, value in given.items():
        values = arguments[name]
        if isinstance(values, Mapping):
            if not isinstance(value, Mapping):
                raise PanoShapesError(f"{what}: {name} is {value!r}; expected an object with {' and '.join(values)}")
            _check_arguments(value, values, (), f"{what}, {name}")
        elif value not in values:
            raise PanoShapesError(f"{what}: unknown {name} {value!r}: expected one of {', '.join(values)}")


def kind_of(item: SceneObject) -> dict[str, str]:
    """Colour and shape of an object, as arguments of a program."""
    return {"colour": item.colour, "shape": item.shape}


def kind_name(kind: Mapping[str, str]) -> str:
    """Colour and shape in words.

    >>> kind_name({"colour": "red", "shape": "cube"})
    'red cube'
    """
    return f"{kind['colour']} {kind['shape']}"


def about_kind(program: Program, answer: str) -> Sequence[Mapping[str, str]]:
    """The object that a program describes by colour, shape or both."""
    return [{name: program[name] for name in KIND if name in program}]


def about_pair(program: Program, answer: str) -> Sequence[Mapping[str, str]]:
    """The two objects that a program compares."""
    return [program["first"], program["second"]]


def shuffled(rng: np.random.Generator, values: Sequence[Any]) -> list[Any]:
    """The values in random order."""
    return [values[place] for place in rng.permutation(len(values))]


def unique_pairs(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Each pair of objects that are the only ones of their kind, once, in random order."""
    unique = [kind_of(item) for item in scene.objects if scene.only(item.colour, item.shape)]
    for pair in shuffled(rng, list(itertools.combinations(unique, 2))):
        first, second = shuffled(rng, list(pair))
        yield first, second
