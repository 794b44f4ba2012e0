"""A model that reads panoramas cuts its own views: one call with the panorama and the question."""

from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies._look import Look, Steps, finish


def native(panorama: Panorama, question: str, look: Look) -> Steps:
    """The panorama itself and the question in one call."""
    content = [{"type": "panorama", "panorama": panorama}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": content}]
    return (yield from finish(messages, panorama.memo["views"], panorama.memo["plan"], look))
