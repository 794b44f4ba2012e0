"""What does not change the meaning of an answer is removed before answers are compared."""

from panollava_hf._text_scores import FINAL_PUNCTUATION, normalise

__all__ = ["FINAL_PUNCTUATION", "normalise"]
