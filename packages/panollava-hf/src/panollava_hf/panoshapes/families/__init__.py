"""The families of questions. A new one is a file with a `Family` in it, here or in any other package.

A family of this folder is the `FAMILY` of the module `_<name>`, and its name is in `_BUILT_IN`. Other packages call
`register_family`.
"""

from importlib import import_module

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes.families._family import Family

__all__ = ["Family", "family_named", "family_names", "register_family", "unregister_family"]

#: Questions are asked in this order with one random generator, so the order is part of the meaning of a seed: add new
#: families at the end.
_BUILT_IN = ("what", "where", "count", "attribute", "existence", "relative", "distance", "caption")
_FAMILIES: dict[str, Family] = {name: import_module(f"{__name__}._{name}").FAMILY for name in _BUILT_IN}


def family_names() -> tuple[str, ...]:
    """Names of all families, in the order in which questions are asked."""
    return tuple(_FAMILIES)


def family_named(name: object) -> Family:
    """The family of a name, which may come from a file.

    Raises:
        PanoShapesError: The name is unknown.
    """
    if not isinstance(name, str) or name not in _FAMILIES:
        raise PanoShapesError(f"unknown family {name!r}: expected one of {', '.join(_FAMILIES)}")
    return _FAMILIES[name]


def register_family(family: Family) -> None:
    """Add a family: from now on `questions` and `write_panoshapes` ask it too, after all others.

    The questions of the other families stay the same for the same seed.

    Raises:
        PanoShapesError: There is a family of this name already.
    """
    if family.name in _FAMILIES:
        raise PanoShapesError(f"family {family.name!r} is already registered; choose another name")
    _FAMILIES[family.name] = family


def unregister_family(name: str) -> None:
    """Remove a family that `register_family` added.

    Raises:
        PanoShapesError: The family is built in or not registered.
    """
    if name in _BUILT_IN or name not in _FAMILIES:
        added = ", ".join(_FAMILIES.keys() - set(_BUILT_IN)) or "none"
        raise PanoShapesError(f"cannot remove family {name!r}; registered families that can be removed: {added}")
    del _FAMILIES[name]
