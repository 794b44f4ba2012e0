"""Small functional programs over scenes, and their answers: the ground truth of PanoShapes.

A program is a JSON object. Its `family` says which arguments it takes:

    {"family": "what", "direction": "back left"}                    → "red cube"
    {"family": "where", "colour": "red", "shape": "cube"}           → "back left"
    {"family": "count", "colour": "red"}, with a shape, or neither  → "2"
    {"family": "attribute", "ask": "colour", "shape": "cube"}       → "red"
    {"family": "existence", "colour": "red", "shape": "cube"}       → "yes"
    {"family": "relative", "first": {…}, "second": {…}}             → "left" (of the second by the shorter way round)
    {"family": "distance", "ask": "nearer", "first": {…}, "second": {…}} → "red cube"
    {"family": "caption"}                                           → "red cube front, blue sphere back left"
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._scene import Scene, SceneObject
from panollava_hf.panoshapes._vocabulary import (
    CLEARANCE_DEG,
    COLOURS,
    DIRECTIONS,
    FAMILIES,
    SECTOR_WIDTH_DEG,
    SECTORS,
    SHAPES,
    degrees_from_sector_centre,
    wrap_degrees,
)

Program = Mapping[str, Any]

#: Two objects are compared by azimuth only where it differs by this much.
RELATIVE_DEG = (20.0, 160.0)
#: Two objects are compared by distance only where these ratios are reached: of distances, and of apparent sizes.
DISTANCE_RATIO, SIZE_RATIO = 1.45, 1.4
_ARGUMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "what": {"direction": DIRECTIONS},
    "where": {"colour": COLOURS, "shape": SHAPES},
    "count": {"colour": COLOURS, "shape": SHAPES},
    "attribute": {"ask": ("colour", "shape"), "colour": COLOURS, "shape": SHAPES},
    "existence": {"colour": COLOURS, "shape": SHAPES},
    "relative": {},
    "distance": {"ask": ("nearer", "farther")},
    "caption": {},
}
_PAIRS = ("relative", "distance")


def answer(scene: Scene, program: Program) -> str | None:
    """Answer a program from what is in the scene.

    Args:
        scene: What is there.
        program: What is asked, as above.

    Returns:
        The answer, or None where the scene does not settle it: what is asked about is missing, not the only one of its
        kind, or too close to the border of a sector.

    Raises:
        PanoShapesError: This is no program.

    Example:
        >>> from panollava_hf.panoshapes import sample_scene
        >>> scene = sample_scene(0, "test", 0)
        >>> answer(scene, {"family": "count"}) == str(len(scene.objects))
        True
    """
    check_program(program)
    return _ANSWERS[program["family"]](scene, program)


def check_program(program: Program) -> None:
    """Refuse what is no program.

    Raises:
        PanoShapesError: The family or an argument is unknown, or one is missing.
    """
    family = program.get("family")
    if family not in FAMILIES:
        raise PanoShapesError(f"unknown family {family!r}: expected one of {', '.join(FAMILIES)}")
    needed = set(_ARGUMENTS[family]) | ({"first", "second"} if family in _PAIRS else set())
    given = set(program) - {"family"}
    if family == "attribute":  # by the one it finds the other
        needed -= {program.get("ask")}
    missing = set() if family == "count" else needed - given
    if missing or given - needed:
        wrong = f"no {min(missing)}" if missing else f"an unknown argument {min(given - needed)!r}"
        raise PanoShapesError(f"a program of the family {family} has {wrong}: {dict(program)}")
    _check_values(program, _ARGUMENTS[family])
    for name in ("first", "second") if family in _PAIRS else ():
        if not isinstance(program[name], Mapping) or set(program[name]) != {"colour", "shape"}:
            raise PanoShapesError(f"{name}: expected a colour and a shape, got {program[name]!r}")
        _check_values(program[name], {"colour": COLOURS, "shape": SHAPES})


def _check_values(values: Mapping[str, Any], known: Mapping[str, tuple[str, ...]]) -> None:
    for name, choices in known.items():
        if name in values and values[name] not in choices:
            raise PanoShapesError(f"unknown {name} {values[name]!r}: expected one of {', '.join(choices)}")


def matching(scene: Scene, colour: str | None = None, shape: str | None = None) -> list[SceneObject]:
    """The objects of a colour, of a shape, or of both."""
    return [item for item in scene.objects if colour in (None, item.colour) and shape in (None, item.shape)]


def only(scene: Scene, colour: str | None = None, shape: str | None = None) -> SceneObject | None:
    """The one object of its kind; None where there is none, or more than one."""
    found = matching(scene, colour, shape)
    return found[0] if len(found) == 1 else None


def clear_of_borders(item: SceneObject) -> bool:
    """Whether its direction can be told."""
    if not item.horizontal:
        return True
    off = abs(degrees_from_sector_centre(item.yaw_deg, item.direction))
    return off <= SECTOR_WIDTH_DEG / 2 - CLEARANCE_DEG


def target_in(scene: Scene, direction: str) -> SceneObject | None:
    """The one object in a direction, with nothing else in or near that sector; else None."""
    if direction not in SECTORS:
        found = [item for item in scene.objects if item.direction == direction]
        return found[0] if len(found) == 1 else None
    reach = SECTOR_WIDTH_DEG / 2 + CLEARANCE_DEG
    near = [
        item
        for item in scene.objects
        if item.horizontal and abs(degrees_from_sector_centre(item.yaw_deg, direction)) < reach
    ]
    return near[0] if len(near) == 1 and near[0].direction == direction and clear_of_borders(near[0]) else None


def _what(scene: Scene, program: Program) -> str | None:
    found = target_in(scene, program["direction"])
    return found.name if found else None


def _where(scene: Scene, program: Program) -> str | None:
    found = only(scene, program["colour"], program["shape"])
    return found.direction if found and clear_of_borders(found) else None


def _count(scene: Scene, program: Program) -> str:
    return str(len(matching(scene, program.get("colour"), program.get("shape"))))


def _attribute(scene: Scene, program: Program) -> str | None:
    found = only(scene, program.get("colour"), program.get("shape"))
    if found is None:
        return None
    return found.colour if program["ask"] == "colour" else found.shape


def _existence(scene: Scene, program: Program) -> str:
    return "yes" if matching(scene, program["colour"], program["shape"]) else "no"


def _relative(scene: Scene, program: Program) -> str | None:
    first, second = (only(scene, **program[name]) for name in ("first", "second"))
    if first is None or second is None or not (first.horizontal and second.horizontal):
        return None
    turn = wrap_degrees(first.yaw_deg - second.yaw_deg)
    if not RELATIVE_DEG[0] <= abs(turn) <= RELATIVE_DEG[1]:
        return None
    return "right" if turn > 0 else "left"


def _distance(scene: Scene, program: Program) -> str | None:
    found = [only(scene, **program[name]) for name in ("first", "second")]
    both = sorted((item for item in found if item is not None), key=lambda item: item.distance)
    if len(both) < 2:
        return None
    near, far = both
    larger = near.radius / near.distance / (far.radius / far.distance)
    if far.distance < DISTANCE_RATIO * near.distance or larger < SIZE_RATIO:
        return None
    return near.name if program["ask"] == "nearer" else far.name


def _caption(scene: Scene, program: Program) -> str | None:
    def place(item: SceneObject) -> tuple[int, float]:
        order = DIRECTIONS.index(item.direction)
        return order, degrees_from_sector_centre(item.yaw_deg, item.direction) if item.horizontal else 0.0

    objects = sorted(scene.objects, key=place)
    for left, right in pairwise(objects):
        if left.direction == right.direction and place(right)[1] - place(left)[1] < CLEARANCE_DEG:
            return None  # which of the two comes first could not be told
    if not objects or not all(map(clear_of_borders, objects)):
        return None
    return ", ".join(f"{item.name} {item.direction}" for item in objects)


_ANSWERS: dict[str, Callable[[Scene, Program], str | None]] = {
    "what": _what,
    "where": _where,
    "count": _count,
    "attribute": _attribute,
    "existence": _existence,
    "relative": _relative,
    "distance": _distance,
    "caption": _caption,
}


def difficulty(scene: Scene, program: Program) -> int:
    """How soon a question may be asked of a model that learns from nothing.

    0 for the shape of a lone object, 2 + the number of objects for all else. Colours are told apart by almost any
    random filter, and a model that has learnt to answer with them finds shapes no more (see the experiment log); so
    shapes come first, and have time until the rest joins in.
    """
    alone = len(scene.objects) == 1
    return 0 if alone and program["family"] == "attribute" and program["ask"] == "shape" else 2 + len(scene.objects)


def aside(scene: Scene, program: Program) -> float:
    """How far from the front the second of two objects is whose sides are compared, in degrees; 0 for all else.

    For curricula: neither object's direction alone says anything about the answer, and a model that learns from nothing
    stays at chance (see the experiment log). With the second in front, the first one's side is the answer.
    """
    if program["family"] != "relative":
        return 0.0
    return abs(matching(scene, **program["second"])[0].yaw_deg)
