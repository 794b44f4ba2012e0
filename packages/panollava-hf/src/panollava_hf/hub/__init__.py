"""Export a checkpoint to a folder that loads with transformers alone, write its model card, and push it to the Hub.

The names are imported when they are first used: pushing needs no torch.
"""

from typing import TYPE_CHECKING

from panollava_hf._faces import lazy

if TYPE_CHECKING:
    from panollava_hf.hub._card import CardFacts, read_results, write_card
    from panollava_hf.hub._export import export_checkpoint
    from panollava_hf.hub._push import PushPlan, plan_push, push
    from panollava_hf.hub._space import plan_space

_HOMES = {
    "CardFacts": "_card",
    "PushPlan": "_push",
    "export_checkpoint": "_export",
    "plan_push": "_push",
    "plan_space": "_space",
    "push": "_push",
    "read_results": "_card",
    "write_card": "_card",
}

__all__ = [
    "CardFacts",
    "PushPlan",
    "export_checkpoint",
    "plan_push",
    "plan_space",
    "push",
    "read_results",
    "write_card",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
