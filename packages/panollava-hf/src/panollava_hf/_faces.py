"""Faces of packages: names that are imported when they are first used, and old names that work for one release."""

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

Lookup = Callable[[str], Any]


def lazy(package: str, homes: Mapping[str, str], old: Lookup | None = None) -> tuple[Lookup, Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__` for names whose modules are imported when they are first used.

    Args:
        package: The package's `__name__`.
        homes: Module inside the package, by public name.
        old: What looks up any other name; default: there is none.
    """

    def lookup(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        if old is not None:
            return old(name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return lookup, names


def renamed(module: str, names: Mapping[str, str]) -> Lookup:
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


def moved(module: str, names: Mapping[str, str]) -> None:
    """Keep an old module importable; its names are looked up as by `renamed`.

    Args:
        module: Full name of the module that no longer exists.
        names: New place of each of its names, as `module.name`.
    """
    stand_in = ModuleType(module, "Deprecated: the names of this module have moved.")
    vars(stand_in)["__getattr__"] = renamed(module, names)
    sys.modules[module] = stand_in
