"""The panoramas that a Space offers. All of them may be copied."""

import io
from dataclasses import dataclass

#: Rendered scenes of the test split with few, well separated objects.
SCENES = (3, 7)
_SEED, _WIDTH, _QUALITY = 1, 1024, 92


@dataclass(frozen=True)
class Sample:
    """A panorama that may be copied.

    Attributes:
        name: Name of its file.
        content: The file.
        title: What it shows, for readers.
        licence: Its licence, as the Hub spells it.
        source: Where it comes from.
    """

    name: str
    content: bytes
    title: str
    licence: str
    source: str


def read_samples() -> tuple[Sample, ...]:
    """The samples, rendered ones first, since the embedded checkpoint is for these."""
    return tuple(_rendered(index) for index in SCENES)


def _rendered(index: int) -> Sample:
    from PIL import Image

    from panollava_hf.panoshapes import render_scene, sample_scene

    stream = io.BytesIO()
    Image.fromarray(render_scene(sample_scene(_SEED, "test", index), _WIDTH)).save(stream, "JPEG", quality=_QUALITY)
    title = "A rendered scene of PanoShapes"
    return Sample(f"scene-{index}.jpg", stream.getvalue(), title, "mit", "rendered by panollava_hf.panoshapes")
