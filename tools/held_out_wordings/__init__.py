"""Questions that are not in the training grammar, written by hand: how well a model understands other people.

There are four sets. Those of the author of the training grammar cannot be produced by the grammar of
`panollava_hf.panoshapes.wordings`, which a test checks. The others are by writers (language models that were asked to
write as many different people do) who had seen neither the grammar nor other wordings, so that some of theirs are in it
by chance. After the first two, words that change nothing ("bright", "vs") were added to the list of words that a
checkpoint accepts, and the grammar got more names and sentences, by others who had not seen any of these sets. The
third was written at the same time, and nothing was changed after it. Do not copy wordings from here into the grammar: a
model would be measured by what it was trained on.
"""

from tools.held_out_wordings._asking import held_out_question, held_out_templates
from tools.held_out_wordings._first_unknown import UNKNOWN_QUESTIONS as _FIRST
from tools.held_out_wordings._second_unknown import UNKNOWN_QUESTIONS as _SECOND
from tools.held_out_wordings._third_unknown import UNKNOWN_QUESTIONS as _THIRD
from tools.held_out_wordings._unknown import UNKNOWN_QUESTIONS as _AUTHOR

#: Questions that no scene answers, by writer.
UNKNOWN_QUESTIONS = {"author": _AUTHOR, "first": _FIRST, "second": _SECOND, "third": _THIRD}

__all__ = ["UNKNOWN_QUESTIONS", "held_out_question", "held_out_templates"]
