"""The equirectangular image as it is: the baseline."""

from panollava_hf.asking._messages import check_question, view_messages
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies._look import Look, Steps, finish

SENTENCE = (
    "The image is a 360° panorama in equirectangular projection. Its centre column is ahead, a quarter of the width to "
    "the right is right, and its left and right edges meet behind you."
)


def erp(panorama: Panorama, question: str, look: Look) -> Steps:
    """The equirectangular image as it is, reduced to 1024 pixels, and the question."""
    check_question(question)
    plan, whole = panorama.whole()
    messages = view_messages(whole, ["the whole panorama"], question, frame_sentence=SENTENCE, system=look.system)
    return (yield from finish(messages, whole, plan, look))
