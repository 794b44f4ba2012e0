"""The tab "Evidence": which parts of the sphere an answer rests on, by `panollava_hf.evidence`."""

from typing import TYPE_CHECKING, Any

from panollava_hf.demo import _fragments as fragments
from panollava_hf.demo._models import configured
from panollava_hf.demo._stoppable import Control, StoppableChat

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.asking import Answer, Answerer

#: What can be chosen in the page → `method` of `explain`.
METHODS: dict[str, str | None] = {"best for this model": None, "gradient": "gradient", "occlusion": "occlusion"}


def evidence_of(
    answerer: "Answerer",
    control: Control,
    settings: tuple[str, str],
    image: "Tensor",
    question: str,
    answer: "Answer",
    method: str,
) -> Any:
    """The evidence for an answer.

    Args:
        answerer: The model.
        control: Stops the work at the next call of the model.
        settings: Strategy and plan.
        image: The panorama.
        question: The question.
        answer: The answer.
        method: A name in `METHODS`.

    Raises:
        PanoLLaVaError: The model has no evidence of this kind, or did not answer.
    """
    from panollava_hf.evidence import explain

    chat = StoppableChat(answerer.chat)
    chat.control = control
    asked = configured(answerer, chat, *settings)
    control.check()
    prepared = asked.prepare(image, settings[0] if not answerer.chat.family.reads_panoramas else None)
    return explain(asked, prepared, question, answer, method=METHODS.get(method))


def evidence_figure(evidence: Any) -> str:
    """The map over the panorama, with how it was computed."""
    text = f"Method: {evidence.method}, {evidence.seconds:.1f} s."
    source = fragments.data_url(evidence.draw())
    return fragments.figure(source, f"The flat panorama with the evidence for the answer. {text}", text)
