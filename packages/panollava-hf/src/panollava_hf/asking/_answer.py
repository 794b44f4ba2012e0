"""An answer: its text, what it is based on, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from panollava_geometry import ViewPlan
from torch import Tensor

from panollava_hf._errors import ChatError
from panollava_hf.asking._answer_regions import regions_of
from panollava_hf.asking._chat import Message, total
from panollava_hf.asking._regions import Region
from panollava_hf.asking._unknown import unknown_reason
from panollava_hf.asking.strategies import Finished, Outcome


@dataclass(frozen=True)
class Answer:
    """An answer and the views it is based on.

    Attributes:
        text: The answer.
        views: The views that the model received with the question, `[V, 3, h, w]` uint8.
        plan: Directions and fields of view of these views.
        image_tokens: Number of tokens of all images in all calls; None if the model does not say.
        new_tokens: Number of generated tokens in all calls; None if the model does not say.
        prompt_tokens: Number of tokens of all prompts; None if the model does not say.
        calls: Number of calls of the model. Descriptions of views that several questions share count for the first.
        strategy: Name of the strategy.
        messages: Messages of the last call, in OpenAI's form.
        reasoning: Reasoning of the model before its answer; empty if there was none.
        regions: Parts of the panorama that were looked at more closely, or else boxes that the model wrote into its
            answer, where it is clear which image they belong to; with their place on the sphere.
        note: What did not go as the strategy intends, or what the model does not know, in one line; empty if nothing.
        unknown_words: Words of the question that a model with a small vocabulary, such as the embedded checkpoint, was
            never trained on; then the text is a guess.
        unknown_image: What the images are that such a model was trained on, if this one is unlike them; else empty.
        unknown_question: Whether such a model was never trained on questions like this one ("Where am I?"), though it
            knows all of its words.
    """

    text: str
    views: Tensor
    plan: ViewPlan
    image_tokens: int | None
    new_tokens: int | None
    prompt_tokens: int | None = None
    calls: int = 1
    strategy: str = "views"
    messages: Sequence[Message] = ()
    reasoning: str = ""
    regions: tuple[Region, ...] = ()
    note: str = ""
    unknown_words: tuple[str, ...] = ()
    unknown_image: str = ""
    unknown_question: bool = False

    @property
    def unknown(self) -> str:
        """Why the text is a guess, in one line: unknown words, question or image; empty if it is none."""
        return unknown_reason(self.unknown_words, self.unknown_image, self.unknown_question)


def answer_of(finished: Finished, strategy: str, box_format: str | None) -> Answer | ChatError:
    """The answer of a strategy that has ended, or its error.

    Args:
        finished: How it ended.
        strategy: Its name.
        box_format: How the model writes boxes; None if it writes none.
    """
    outcome, replies = finished.outcome, finished.replies
    if isinstance(outcome, ChatError):
        return outcome
    reply = outcome.reply
    unknown = unknown_reason(reply.unknown_words, reply.unknown_image, reply.unknown_question)
    return Answer(
        text=outcome.text,
        views=outcome.views,
        plan=outcome.plan,
        image_tokens=total(one.image_tokens for one in replies),
        new_tokens=total(one.new_tokens for one in replies),
        prompt_tokens=total(one.prompt_tokens for one in replies),
        calls=len(replies),
        strategy=strategy,
        messages=outcome.messages,
        reasoning=reply.reasoning,
        regions=() if box_format is None else _regions(outcome, box_format),
        note="; ".join(note for note in (unknown, outcome.note) if note),
        unknown_words=reply.unknown_words,
        unknown_image=reply.unknown_image,
        unknown_question=reply.unknown_question,
    )


def _regions(outcome: Outcome, box_format: str) -> tuple[Region, ...]:
    height, width = outcome.views.shape[-2:]
    return regions_of(outcome.regions, outcome.text, outcome.plan, (height, width), box_format)
