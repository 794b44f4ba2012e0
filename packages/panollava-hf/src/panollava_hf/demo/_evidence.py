"""The tab "Evidence": which parts of the sphere an answer rests on, by `panollava_hf.evidence`."""

import html
from typing import TYPE_CHECKING, Any

from panollava_hf.asking._directions import direction
from panollava_hf.demo import _fragments as fragments
from panollava_hf.demo._models import configured
from panollava_hf.demo._stoppable import Control

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.asking import Answer, Answerer

#: What can be chosen besides the methods of `panollava_hf.evidence`.
BEST = "best for this model"
_ABOUT = (
    '<p class="quiet">This shows what the answer depends on in this computation. It does not prove that the answer is '
    "right, or what the model means by it.</p>"
)


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
        method: One of `methods`.

    Raises:
        PanoLLaVaError: The model has no evidence of this kind, or did not answer.
    """
    from panollava_hf.evidence import explain

    def on_step(done: int, of: int) -> None:
        control.check()
        control.on_step(f"Computing the evidence: step {done} of {of}")

    control.check()
    asked = configured(answerer, answerer.chat, *settings)
    wanted = None if method == BEST else method
    return explain(asked, asked.prepare(image), question, answer.text, method=wanted, on_step=on_step)


def methods() -> list[str]:
    """What can be chosen in the page."""
    from panollava_hf.evidence import METHODS

    return [BEST, *METHODS]


def evidence_figure(evidence: Any) -> str:
    """The map over the panorama, how it was computed, and a button that turns to its strongest direction."""
    yaw, pitch = evidence.peak
    words = f"{direction(yaw, pitch)} ({fragments.degrees(yaw, pitch)})"
    text = f"Strongest direction: {words}. Method: {evidence.method_name}, {evidence.seconds:.1f} s."
    drawn = fragments.figure(
        fragments.data_url(evidence.draw()), f"The flat panorama with the evidence for the answer. {text}", text
    )
    note = f'<p class="quiet">{html.escape(evidence.note)}</p>' if evidence.note else ""
    return (
        f'{note}<div class="chips"><button type="button" class="chip" data-kind="evidence" data-yaw="{yaw:.1f}" '
        f'data-pitch="{pitch:.1f}">Turn to the strongest direction</button></div>{drawn}{_ABOUT}'
    )
