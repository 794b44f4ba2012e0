"""Deprecated: import from `panollava_hf.panoshapes`."""

from panollava_hf._deprecated import renamed

_NAMES = (
    "Question",
    "Scene",
    "answer",
    "questions",
    "render_scene",
    "rotate_question",
    "sample_scene",
    "write_panoshapes",
)

__getattr__ = renamed(__name__, {name: f"panollava_hf.panoshapes.{name}" for name in _NAMES})
