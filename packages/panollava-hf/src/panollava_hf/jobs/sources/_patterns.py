"""Names of many shards: `shards-{000..010}.tar`, `{train,val}-*.tar`."""

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from panollava_hf._errors import TableError
from panollava_hf._shown import listed
from panollava_hf.jobs.sources._folder import natural
from panollava_hf.jobs.sources._names import shown_name

#: Most names that a pattern can have.
_MAX_NAMES = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")


def paths_of(pattern: str) -> list[Path]:
    """The files that a pattern names, in order; empty for a name that is not a pattern.

    Raises:
        TableError: Files are missing, or a pattern names too many or none.
    """
    if not any(sign in pattern for sign in "{*?["):
        return []
    found: list[Path] = []
    missing: list[str] = []
    for count, name in enumerate(expanded(pattern)):
        if count >= _MAX_NAMES:
            raise TableError(f"{shown_name(pattern)} names more than {_MAX_NAMES:,} files")
        if any(sign in name for sign in "*?["):
            matches = sorted(glob.glob(name), key=natural)
        else:
            matches = [name] if os.path.isfile(name) else []
        missing.extend([] if matches else [shown_name(name)])
        found.extend(map(Path, matches))
    if missing:
        if not any(sign in pattern for sign in "{}"):
            raise TableError(f"{shown_name(pattern)}: no such files")
        many = f"{len(missing)} of its names are" if len(missing) > 1 else "one of its names is"
        raise TableError(f"{shown_name(pattern)}: {many} not there: {listed(missing, 3)}")
    return found


def expanded(pattern: str) -> Iterator[str]:
    """The names that braces stand for.

    Example:
        >>> list(expanded("a-{08..10}.tar")), list(expanded("{x,y}-{0..1}"))
        (['a-08.tar', 'a-09.tar', 'a-10.tar'], ['x-0', 'x-1', 'y-0', 'y-1'])
    """
    found = _BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    numbers = _RANGE.fullmatch(found[1])
    if numbers is not None:
        first, last = int(numbers[1]), int(numbers[2])
        step = 1 if first <= last else -1
        width = len(numbers[1]) if numbers[1].startswith("0") or len(numbers[1]) == len(numbers[2]) else 0
        choices: Iterator[str] = (f"{number:0{width}d}" for number in range(first, last + step, step))
    else:
        choices = iter(found[1].split(","))
    for choice in choices:
        for rest in expanded(pattern[found.end() :]):
            yield pattern[: found.start()] + choice + rest
