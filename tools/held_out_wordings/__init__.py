"""Questions that are not in the training grammar, written by hand: how well a model understands other people.

There are two sets. Those of the author of the training grammar cannot be produced by the grammar of
`panollava_hf.panoshapes.wordings`, which a test checks; the independent ones are by a writer who had not seen it, so
that some are in it by chance. Do not copy wordings from here into the grammar: a model would be measured by what it was
trained on.
"""

from tools.held_out_wordings._asking import held_out_question, held_out_templates
from tools.held_out_wordings._independent_unknown import UNKNOWN_QUESTIONS as INDEPENDENT_UNKNOWN_QUESTIONS
from tools.held_out_wordings._unknown import UNKNOWN_QUESTIONS

__all__ = ["INDEPENDENT_UNKNOWN_QUESTIONS", "UNKNOWN_QUESTIONS", "held_out_question", "held_out_templates"]
