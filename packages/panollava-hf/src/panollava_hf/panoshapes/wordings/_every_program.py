"""Programs that between them have every phrase of a language."""

from collections.abc import Iterable
from typing import Any


def one_program_each(colours: Iterable[str], shapes: Iterable[str], directions: Iterable[str]) -> list[dict[str, Any]]:
    """Programs of all families, with every colour, shape, direction and comparison at least once."""
    kinds = [{"colour": colour, "shape": shape} for colour in colours for shape in shapes]
    alone = [{name: kind[name]} for kind in kinds for name in kind]
    programs: list[dict[str, Any]] = [{"family": "what", "direction": direction} for direction in directions]
    programs += [{"family": family, **kind} for family in ("where", "count", "existence") for kind in (*kinds, *alone)]
    programs += [{"family": "attribute", "ask": "shape", "colour": kind["colour"]} for kind in kinds]
    programs += [{"family": "attribute", "ask": "colour", "shape": kind["shape"]} for kind in kinds]
    for first in (*kinds, *alone):
        programs.append({"family": "relative", "first": first, "second": first})
        programs += [
            {"family": "distance", "ask": ask, "first": first, "second": first} for ask in ("nearer", "farther")
        ]
    return [*programs, {"family": "caption"}, {"family": "count"}]
