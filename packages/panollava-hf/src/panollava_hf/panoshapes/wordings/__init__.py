"""Questions in many wordings, in English and Korean, as different people would type them.

The plain wordings are those of `Family.wordings`. The answers are the same for all wordings.
"""

from panollava_hf.panoshapes.wordings._draw import LANGUAGES, draw_question, word_question
from panollava_hf.panoshapes.wordings._vocabulary import vocabulary

__all__ = ["LANGUAGES", "draw_question", "vocabulary", "word_question"]
