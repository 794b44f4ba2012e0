"""Ask questions about panoramas: one answerer, for a single question and for batches."""

from panollava_hf.asking._answerer import Answer, Answerer, default_checkpoint

__all__ = ["Answer", "Answerer", "default_checkpoint"]
