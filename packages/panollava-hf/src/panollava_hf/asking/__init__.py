"""Ask questions about panoramas: any vision-language model, with the views of a panorama and where they look."""

from panollava_hf.asking._answerer import Answer, Answerer
from panollava_hf.asking._default_model import default_checkpoint
from panollava_hf.asking._messages import panorama_messages

__all__ = ["Answer", "Answerer", "default_checkpoint", "panorama_messages"]
