"""Pickle objects of exported code by the name of their class.

transformers imports the code of an exported folder as `transformers_modules.…`. vLLM registers that package with
cloudpickle by value, and dill, which datasets uses, also takes such classes along: with the class, everything that its
methods refer to. This needs the torch library operators, which cannot be pickled, and it gives another hash in each
process. With the functions below a pickle holds the name of the class and the object's state, whatever the pickler.

`blank` refers to nothing else in this module, so a pickler that takes functions along takes it alone.
"""

import operator
from collections.abc import Callable
from typing import Any

__all__ = ["blank", "by_name"]


def blank(module: str, name: str) -> Any:
    """An empty instance of a class of exported code, which must be in this machine's cache of such code.

    The cache contains only code that was loaded with `trust_remote_code=True`. A pickle does not say where the code
    came from, and nothing is downloaded: reading it runs no code of a repository that was not loaded here before.

    Args:
        module: `transformers_modules.…`.
        name: The class.

    Raises:
        UnpicklingError: The module is of another package, or not in the cache, or has no such class.
    """
    import importlib
    import pickle

    from transformers.dynamic_module_utils import HF_MODULES_CACHE, init_hf_modules

    shown = f"{module[:200]}.{name[:100]}"
    if not module.startswith("transformers_modules."):
        raise pickle.UnpicklingError(
            f"{shown!r} is not a class of exported code, whose modules begin with transformers_modules"
        )
    init_hf_modules()  # a pickle that holds this function itself does not need the cache to find it
    importlib.invalidate_caches()
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("transformers_modules"):
            raise
        raise pickle.UnpicklingError(
            f"the class {shown} is not in {HF_MODULES_CACHE}: load the exported folder or repository once on this "
            "machine with trust_remote_code=True, or set HF_MODULES_CACHE to the folder that the other process uses"
        ) from error
    if not isinstance(found, type):
        raise pickle.UnpicklingError(f"{shown} is not a class: export the checkpoint again")
    return object.__new__(found)


def by_name(reduced: Any) -> Any:
    """What `__reduce_ex__` of an object returns, with the name of its class if that is exported code.

    Args:
        reduced: The result of `object.__reduce_ex__` with protocol 2 or later.

    Example:
        >>> class Thing:
        ...     pass
        >>> reduced = Thing().__reduce_ex__(2)
        >>> by_name(reduced) is reduced  # an installed class is pickled as usual
        True
        >>> Thing.__module__ = "transformers_modules.folder.code"
        >>> by_name(reduced)[1][1:]
        ('transformers_modules.folder.code', 'Thing')
    """
    _, (kind, *_), *rest = reduced
    if kind.__module__.split(".")[0] != "transformers_modules":
        return reduced
    from transformers.dynamic_module_utils import init_hf_modules

    # A worker of Ray does not have the cache on its path, and then it cannot find the module of `blank` either. What a
    # pickle holds is made in order: first the call that adds the cache, then `blank`, which is entry 1 of the pair.
    found = _Later(operator.getitem, (_Later(init_hf_modules), blank), 1)
    return operator.call, (found, kind.__module__, kind.__qualname__), *rest


class _Later:
    """A call that is made where a pickle is read, or when a copy calls its result."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*self.arguments)(*arguments)
