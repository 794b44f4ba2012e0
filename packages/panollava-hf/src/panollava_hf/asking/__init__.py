"""Ask questions about panoramas: one batched answerer for every kind of model."""

from panollava_hf.asking._answerer import Answer, Answerer, default_checkpoint

__all__ = ["Answer", "Answerer", "default_checkpoint"]
