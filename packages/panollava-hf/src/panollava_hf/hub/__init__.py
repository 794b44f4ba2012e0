"""Export a checkpoint to a folder that loads with transformers alone, write its model card, and push it to the Hub.

The names are imported when they are first used: pushing needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from panollava_hf.hub._card import CardFacts, write_card
    from panollava_hf.hub._export import export_checkpoint
    from panollava_hf.hub._portable import make_portable
    from panollava_hf.hub._push import PushPlan, check_repository, plan_push, push
    from panollava_hf.hub._results import read_results

#: Module of each public name.
_MODULES = {
    "CardFacts": "_card",
    "PushPlan": "_push",
    "check_repository": "_push",
    "export_checkpoint": "_export",
    "make_portable": "_portable",
    "plan_push": "_push",
    "push": "_push",
    "read_results": "_results",
    "write_card": "_card",
}

__all__ = [
    "CardFacts",
    "PushPlan",
    "check_repository",
    "export_checkpoint",
    "make_portable",
    "plan_push",
    "push",
    "read_results",
    "write_card",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
