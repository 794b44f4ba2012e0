"""Jobs on many panoramas, on one machine and on Ray."""

from typing import TYPE_CHECKING

from panollava_hf._faces import lazy

if TYPE_CHECKING:
    from panollava_hf.jobs._answerer import PanoramaAnswerer
    from panollava_hf.jobs._captioner import PanoramaCaptioner

#: Module of each public name.
_HOMES = {"PanoramaAnswerer": "_answerer", "PanoramaCaptioner": "_captioner"}

__all__ = ["PanoramaAnswerer", "PanoramaCaptioner"]

__getattr__, __dir__ = lazy(__name__, _HOMES)
