"""Some panoramas of a table with their questions, for a page."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

from panollava_geometry import PanoramaError, load_equirectangular
from PIL import Image

from panollava_hf._shown import shortened
from panollava_hf.checking._images import Images
from panollava_hf.checking._report import Sample
from panollava_hf.checking._tables import Found

#: Number of panoramas, of questions about each, and width of a thumbnail in pixels.
_PANORAMAS, _QUESTIONS, _WIDTH = 12, 4, 480
#: Longest text.
_SHOWN = 400


def samples_of(found: Found, images: Images) -> Iterator[Sample]:
    """Panoramas spread evenly over the table, with the first of their questions."""
    usable = [place for place, one in enumerate(images.panoramas) if one.width is not None]
    chosen = [usable[index * len(usable) // _PANORAMAS] for index in range(_PANORAMAS)] if usable else []
    rows: dict[int, list[int]] = {place: [] for place in chosen}
    for row, place in enumerate(images.of_row):
        if place in rows and len(rows[place]) < _QUESTIONS:
            rows[place].append(row)
    for place, asked in rows.items():
        panorama = images.panoramas[place]
        examples = [found.examples[row] for row in asked]
        source = panorama.source if panorama.source is not None else examples[0].image
        turns = tuple((shortened(one.question, _SHOWN), shortened(one.answer, _SHOWN)) for one in examples)
        yield Sample(panorama.name, _thumbnail(source), turns)


def _thumbnail(source: Any) -> bytes | None:
    """A small JPEG of a panorama; None if it cannot be decoded, which its header did not say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels = load_equirectangular(source, max_width=_WIDTH)
        except PanoramaError:
            return None
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(stream := io.BytesIO(), "JPEG", quality=82)
    return stream.getvalue()
