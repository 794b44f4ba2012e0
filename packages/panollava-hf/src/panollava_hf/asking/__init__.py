"""Ask questions about panoramas: any vision-language model, with the views of a panorama and where they look.

Importing the package is cheap, and `panorama_messages` imports no model library.
"""

from typing import TYPE_CHECKING

from panollava_hf._faces import lazy

if TYPE_CHECKING:
    from panollava_hf.asking._answer import Answer
    from panollava_hf.asking._answerer import Answerer
    from panollava_hf.asking._budget import Budget
    from panollava_hf.asking._conversation import Conversation
    from panollava_hf.asking._cost import Cost
    from panollava_hf.asking._default_model import default_checkpoint
    from panollava_hf.asking._locate import Locations
    from panollava_hf.asking._messages import panorama_messages
    from panollava_hf.asking._regions import Region

#: Module of each public name.
_HOMES = {
    "Answer": "_answer",
    "Answerer": "_answerer",
    "Budget": "_budget",
    "Conversation": "_conversation",
    "Cost": "_cost",
    "default_checkpoint": "_default_model",
    "Locations": "_locate",
    "panorama_messages": "_messages",
    "Region": "_regions",
}

__all__ = [
    "Answer",
    "Answerer",
    "Budget",
    "Conversation",
    "Cost",
    "Locations",
    "Region",
    "default_checkpoint",
    "panorama_messages",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
