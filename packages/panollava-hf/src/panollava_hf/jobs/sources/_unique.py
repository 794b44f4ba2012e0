"""Ids that must be unique: checked and hashed while they pass by, in 8 bytes each."""

import hashlib
from array import array
from collections.abc import Callable, Iterable

import numpy as np

from panollava_hf._errors import TableError
from panollava_hf._shown import shown

_REMEDY = "make the ids unique, or choose another column with --columns id=NAME"


class Ids:
    """Takes ids in order.

    Attributes:
        count: How many there were.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._digest = hashlib.sha256()

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self._hashes)

    def add(self, identity: str) -> None:
        """Take the next one."""
        self._hashes.append(hash(identity))
        self._digest.update(identity.encode("utf-8", "replace") + b"\n")

    def fingerprint(self) -> str:
        """A hash of all of them in order."""
        return self._digest.hexdigest()

    def check(self, source: str, again: Callable[[], Iterable[tuple[str, str]]], remedy: str = _REMEDY) -> None:
        """Check that none occurs twice.

        Args:
            source: The table, for the message.
            again: Gives all ids once more, each with the place of its row. Called only if two hashes are equal.
            remedy: What the user can do, for the message.

        Raises:
            TableError: Two rows have the same id; the message names the first two.
        """
        hashes = np.sort(np.frombuffer(self._hashes, dtype=np.int64))
        double = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        if not double:
            return
        seen: dict[str, str] = {}
        for identity, place in again():
            if hash(identity) not in double:
                continue
            if identity in seen:
                raise TableError(
                    f"{source}: the id {shown(identity)} is there twice, in {seen[identity]} and {place}; {remedy}"
                )
            seen[identity] = place
