"""Ask questions about panoramas: any vision-language model, with the views of a panorama and where they look.

Its modules that need torch are imported when one of the names below is used: the command line asks this package for the
name of the default model before that.
"""

from typing import TYPE_CHECKING

from panollava_hf._faces import lazy

if TYPE_CHECKING:
    from panollava_hf.asking._answerer import Answer, Answerer
    from panollava_hf.asking._default_model import default_checkpoint
    from panollava_hf.asking._messages import panorama_messages

_HOMES = {
    "Answer": "_answerer",
    "Answerer": "_answerer",
    "default_checkpoint": "_default_model",
    "panorama_messages": "_messages",
}

__all__ = ["Answer", "Answerer", "default_checkpoint", "panorama_messages"]

__getattr__, __dir__ = lazy(__name__, _HOMES)
