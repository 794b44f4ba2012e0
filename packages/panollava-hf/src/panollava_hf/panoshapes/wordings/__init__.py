"""Questions in many wordings, in English and Korean, as different people would type them.

The plain wordings are those of `Family.wordings`. The answers are the same for all wordings.
"""

from panollava_hf.panoshapes.wordings._draw import word_question

__all__ = ["word_question"]
