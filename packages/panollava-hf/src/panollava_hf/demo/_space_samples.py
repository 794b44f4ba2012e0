"""The panoramas that a Space offers: those of the page, as files. All of them may be copied."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

_QUALITY = 92
_RENDERED = "rendered by panollava_hf.panoshapes"
_PHOTOGRAPH = '"Leadenhall Market" of Poly Haven, tone-mapped from the HDR image'


@dataclass(frozen=True)
class SampleFile:
    """A panorama that may be copied.

    Attributes:
        name: Name of its file.
        content: The file.
        title: What it is called in the page.
        questions: Questions that suit it.
        licence: Its licence, as the Hub spells it.
        source: Where it comes from.
    """

    name: str
    content: bytes
    title: str
    questions: tuple[str, ...]
    licence: str
    source: str


def read_samples() -> tuple[SampleFile, ...]:
    """The samples in the order of the page."""
    from importlib.resources import files

    from panollava_hf.demo._samples import SAMPLES, WIDTH

    found = []
    for title, sample in SAMPLES.items():
        name = re.sub(r"\W+", "-", title.lower()) + ".jpg"
        scene = sample.scene()
        if scene is None:
            content = (files("panollava_hf.demo") / "static" / sample.file).read_bytes()
            found.append(SampleFile(name, content, title, sample.questions, "cc0-1.0", _PHOTOGRAPH))
        else:
            found.append(SampleFile(name, _rendered(scene, WIDTH), title, sample.questions, "mit", _RENDERED))
    return tuple(found)


def listing_text(samples: Sequence[SampleFile]) -> str:
    """The list that `panollava demo --samples` reads."""
    entries = [{"file": s.name, "title": s.title, "questions": s.questions} for s in samples]
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def _rendered(scene: object, width: int) -> bytes:
    from PIL import Image

    from panollava_hf.panoshapes import Scene, render_scene

    assert isinstance(scene, Scene)
    stream = io.BytesIO()
    Image.fromarray(render_scene(scene, width)).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
