"""A model that reads panoramas cuts its own views: one call with the panorama and the question."""

from panollava_hf.asking._chat import Message
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies._look import Look, Steps, finish


def native(panorama: Panorama, question: str, look: Look) -> Steps:
    """The panorama itself and the question in one call."""
    messages = native_messages(panorama, question)
    return (yield from finish(messages, panorama.memo["views"], panorama.memo["plan"], look))


def native_messages(panorama: Panorama | None, question: str) -> list[Message]:
    """Messages of a question about a panorama; None is enough to count tokens."""
    content = [{"type": "panorama", "panorama": panorama}, {"type": "text", "text": question}]
    return [{"role": "user", "content": content}]
