"""Old public names: they work for one release, with a warning that gives the new name."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` for names that moved or were renamed.

    Args:
        module: The module's `__name__`.
        names: New place of each old name, as `module.name`.

    Returns:
        A function that warns, and returns what the new name refers to.

    Example:
        >>> import warnings
        >>> lookup = renamed("old_module", {"root": "math.sqrt"})
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     lookup("root")(9.0)
        3.0
        >>> str(caught[0].message)
        'old_module.root is deprecated and will be removed in the next release; use math.sqrt'
    """

    def lookup(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        new = names[name]
        warnings.warn(
            f"{module}.{name} is deprecated and will be removed in the next release; use {new}",
            DeprecationWarning,
            stacklevel=2,
        )
        home, _, attribute = new.rpartition(".")
        return getattr(importlib.import_module(home), attribute)

    return lookup
