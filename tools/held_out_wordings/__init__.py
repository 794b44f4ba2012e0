"""Questions that are not in the training grammar, written by hand: how well a model understands other people.

A test checks that the grammar of `panollava_hf.panoshapes.wordings` can produce none of them. Do not copy wordings from
here into the grammar: a model would be measured by what it was trained on.
"""

from tools.held_out_wordings._asking import held_out_question, held_out_templates
from tools.held_out_wordings._unknown import UNKNOWN_QUESTIONS

__all__ = ["UNKNOWN_QUESTIONS", "held_out_question", "held_out_templates"]
