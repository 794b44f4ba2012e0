"""Kinds of input, and the registry that the command and the tests go through."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any


@dataclass(frozen=True)
class Attempt:
    """One input.

    Attributes:
        files: Files that are written to an empty folder before the input is tried, by relative name.
        values: Everything else that the kind needs; plain values.
        must_fail: The input may not be accepted.
        must_pass: The input may not be refused.
        secret: A text that may not appear in a message.
        note: What is special about the input, for the report.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    must_fail: bool = False
    must_pass: bool = False
    secret: str | None = None
    note: str = ""


Make = Callable[[Random, int], Attempt]
Try = Callable[[Path, Attempt], None]


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: Its name, `area.kind`.
        make: Makes the input of a number; kinds with a list of inputs take them in turn.
        run: Gives the input to the library; runs in a worker, in the folder of the input's files.
        weight: Share of the inputs, relative to other kinds.
    """

    name: str
    make: Make
    run: Try
    weight: float = 1.0


KINDS: dict[str, Kind] = {}


def kind(name: str, run: Try, *, weight: float = 1.0) -> Callable[[Make], Make]:
    """Register a function that makes inputs."""

    def register(make: Make) -> Make:
        KINDS[name] = Kind(name, make, run, weight)
        return make

    return register


class Noise(AssertionError):
    """A command ended with the right exit code, but printed something else than one line on stderr."""


class Refused(Exception):
    """A command ended with exit code 2 and one line."""
