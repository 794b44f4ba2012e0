"""The questions about a scene in many wordings, with some that only people ask: "Is there a ball?"."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from panollava_hf.panoshapes._questions import Question, answer
from panollava_hf.panoshapes._scene import COLOURS, SHAPES, Scene
from panollava_hf.panoshapes.families._family import Program
from panollava_hf.panoshapes.wordings._draw import draw_question

#: Share of the questions about existence that give only a colour or a shape, and of counts that give both.
_HALF_NAMED, _WHOLE_NAMED = 0.3, 0.25


def in_many_wordings(asked: Sequence[Question], scene: Scene, rng: np.random.Generator) -> list[Question]:
    """The questions in other words; some programs are replaced by programs that `questions` does not choose.

    Args:
        asked: Questions about the scene.
        scene: The scene.
        rng: Source of randomness.
    """
    chosen: dict[str, Question] = {}
    for question in asked:
        program = _varied(question.program, scene, rng)
        key, found = json.dumps(program, sort_keys=True), answer(scene, program)
        if found is not None and key not in chosen:
            chosen[key] = Question(question.family, program, draw_question(program, rng, scene), found)
    return list(chosen.values())


def _varied(program: Program, scene: Scene, rng: np.random.Generator) -> Program:
    if program["family"] == "existence" and rng.random() < _HALF_NAMED:
        name, values = ("shape", SHAPES) if rng.random() < 0.7 else ("colour", COLOURS)
        wanted = bool(rng.integers(2))  # "yes" and "no" are equally likely
        fitting = [value for value in values if bool(scene.matching(**{name: value})) == wanted]
        return {"family": "existence", name: str(rng.choice(fitting))} if fitting else program
    if program["family"] == "count" and len(program) == 2 and rng.random() < _WHOLE_NAMED:
        other, values = ("shape", SHAPES) if "colour" in program else ("colour", COLOURS)
        matching: list[Any] = scene.matching(program.get("colour"), program.get("shape"))
        there = [getattr(item, other) for item in matching]
        value = str(rng.choice(there)) if there and rng.random() < 0.75 else str(rng.choice(values))
        return {**program, other: value}
    return program
