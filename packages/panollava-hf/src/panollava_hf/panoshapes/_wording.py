"""Programs in English: a small, fixed vocabulary, two or three wordings for each family."""

from collections.abc import Callable

from panollava_hf.panoshapes._programs import Program, check_program
from panollava_hf.panoshapes._vocabulary import SECTORS

_PLURALS = {"torus": "toruses"}


def wordings(program: Program) -> tuple[str, ...]:
    """All ways to ask what a program asks.

    Raises:
        PanoShapesError: This is no program.

    Example:
        >>> wordings({"family": "what", "direction": "back left"})[0]
        'What is to the back left?'
    """
    check_program(program)
    return _WORDINGS[program["family"]](program)


def _what(program: Program) -> tuple[str, ...]:
    direction = program["direction"]
    place = f"to the {direction}" if direction in SECTORS else direction
    return f"What is {place}?", f"Which object is {place}?", f"What can you see {place}?"


def _where(program: Program) -> tuple[str, ...]:
    name = _name(program)
    return f"Where is the {name}?", f"In which direction is the {name}?", f"Which way is the {name}?"


def _count(program: Program) -> tuple[str, ...]:
    colour, shape = program.get("colour"), program.get("shape")
    kind = _PLURALS.get(shape, f"{shape}s") if shape else "objects"
    kind = f"{colour} {kind}" if colour else kind
    return f"How many {kind} are there?", f"How many {kind} can you see?", f"Count the {kind}."


def _attribute(program: Program) -> tuple[str, ...]:
    asked = program["ask"]
    thing = program["shape"] if asked == "colour" else f"{program['colour']} object"
    return f"What {asked} is the {thing}?", f"Which {asked} does the {thing} have?"


def _existence(program: Program) -> tuple[str, ...]:
    name = _name(program)
    article = "an" if name[0] in "aeiou" else "a"
    return f"Is there {article} {name}?", f"Can you see {article} {name}?"


def _relative(program: Program) -> tuple[str, ...]:
    first, second = _name(program["first"]), _name(program["second"])
    return (
        f"Is the {first} to the left or to the right of the {second}?",
        f"Is the {first} left or right of the {second}?",
    )


def _distance(program: Program) -> tuple[str, ...]:
    words = ("nearer", "closer") if program["ask"] == "nearer" else ("farther", "farther away")
    pair = f"the {_name(program['first'])} or the {_name(program['second'])}"
    return tuple(f"Which is {word}, {pair}?" for word in words)


def _caption(program: Program) -> tuple[str, ...]:
    return "Describe the scene.", "Describe what is around you."


def _name(kind: Program) -> str:
    return f"{kind['colour']} {kind['shape']}"


_WORDINGS: dict[str, Callable[[Program], tuple[str, ...]]] = {
    "what": _what,
    "where": _where,
    "count": _count,
    "attribute": _attribute,
    "existence": _existence,
    "relative": _relative,
    "distance": _distance,
    "caption": _caption,
}
