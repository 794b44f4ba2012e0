"""One wording of a program, drawn at random."""

from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._scene import Scene
from panollava_hf.panoshapes.families import family_named
from panollava_hf.panoshapes.families._family import Program
from panollava_hf.panoshapes.wordings._english import draw_english
from panollava_hf.panoshapes.wordings._korean import draw_korean
from panollava_hf.panoshapes.wordings._korean_noise import roughen_korean
from panollava_hf.panoshapes.wordings._noise import roughen

#: Languages of the questions; the answers are always English.
LANGUAGES = ("en", "ko")
#: Shares of questions in a plain wording and in Korean; the others are in English.
PLAIN_SHARE, KOREAN_SHARE = 0.2, 0.27
#: Share of the objects that are named by their colour or shape alone, where this is enough.
_SHORT_CHANCE = 0.2
_DRAW = {"en": (draw_english, roughen), "ko": (draw_korean, roughen_korean)}


def word_question(
    program: Program, rng: np.random.Generator, language: str = "en", scene: Scene | None = None, noise: bool = True
) -> str:
    """Ask a program in one of many ways.

    Args:
        program: The question as a program, see `panollava_hf.panoshapes.answer`.
        rng: Source of randomness.
        language: One of `LANGUAGES`.
        scene: With the scene, an object may be named by its colour or shape alone if it is the only one.
        noise: Whether letters, punctuation and spelling may be as careless as when people type.

    Returns:
        The question. A family without such wordings, for example one of your own, is asked in a plain wording.

    Raises:
        PanoShapesError: The program or the language is not valid.

    Example:
        >>> import numpy as np
        >>> from panollava_hf.panoshapes.wordings import word_question
        >>> program = {"family": "what", "direction": "back"}
        >>> rng = np.random.default_rng(0)
        >>> len({word_question(program, rng) for _ in range(100)}) > 80
        True
    """
    if language not in LANGUAGES:
        raise PanoShapesError(f"unknown language {language!r}: expected one of {', '.join(LANGUAGES)}")
    family = family_named(program.get("family"))
    family.check(program)
    source = Random(int(rng.integers(2**63)))
    draw, careless = _DRAW[language]
    text = draw(program if scene is None else _shortened(program, scene, source), source)
    if text is None:
        return str(rng.choice(family.wordings(program)))
    return careless(text, source) if noise else text


def draw_question(program: Program, rng: np.random.Generator, scene: Scene | None = None) -> str:
    """Ask a program in a plain wording, in Korean or in one of many English wordings, in fixed shares."""
    chance = rng.random()
    if chance < PLAIN_SHARE:
        return str(rng.choice(family_named(program.get("family")).wordings(program)))
    return word_question(program, rng, "ko" if chance < PLAIN_SHARE + KOREAN_SHARE else "en", scene)


def _shortened(program: Program, scene: Scene, rng: Random) -> Program:
    """The program with objects named by their colour or shape alone, where they are the only ones."""
    if program["family"] == "where":
        return {"family": "where", **_short_kind(program, scene, rng)}
    if program["family"] in ("relative", "distance"):
        return {**program, **{name: _short_kind(program[name], scene, rng) for name in ("first", "second")}}
    return program


def _short_kind(kind: Mapping[str, Any], scene: Scene, rng: Random) -> dict[str, str]:
    full = {name: kind[name] for name in ("colour", "shape")}
    if rng.random() < _SHORT_CHANCE:
        name = "shape" if rng.random() < 0.7 else "colour"
        if scene.only(**{name: full[name]}) is not None:
            return {name: full[name]}
    return full
