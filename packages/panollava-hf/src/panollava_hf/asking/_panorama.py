"""A decoded panorama and what has been cut from it, shared by all questions about it."""

from typing import Any

from panollava_geometry import EquirectangularView, ViewPlan, extract_views, load_equirectangular
from torch import Tensor

#: Width of the whole panorama as one image, in pixels: hosted models do not shrink it.
WHOLE_WIDTH = 1024


class Panorama:
    """A panorama.

    Args:
        image: `[3, H, 2H]` uint8.
        memo: What a model keeps about the panorama, such as its normalised views.

    Attributes:
        token: Identifies the panorama in keys of requests, also after the panorama itself is gone.
    """

    def __init__(self, image: Tensor, memo: dict[str, Any] | None = None) -> None:
        self.image, self.memo = image, {} if memo is None else memo
        self.token = object()  # not id(self): a later panorama can get the same one
        self._cut: dict[tuple[ViewPlan, tuple[int, int]], Tensor] = {}

    @classmethod
    def load(cls, source: Any, *, max_width: int | None = None) -> "Panorama":
        """Decode a panorama.

        Args:
            source: What `load_equirectangular` takes, or a `Panorama`, which is returned as it is.
            max_width: Width in pixels that suffices for its views (`strategies.needed_width`); None keeps all pixels.

        Raises:
            PanoramaError: It cannot be read.
        """
        return source if isinstance(source, Panorama) else cls(load_equirectangular(source, max_width=max_width))

    def views(self, plan: ViewPlan, size: tuple[int, int]) -> Tensor:
        """The views of a plan, `[V, 3, h, w]` uint8; cut once."""
        key = (plan, size)
        if key not in self._cut:
            self._cut[key] = extract_views(self.image, plan, size)
        return self._cut[key]

    def whole(self) -> tuple[ViewPlan, Tensor]:
        """The panorama as one image of at most 1024 pixels, `[1, 3, h, w]` uint8, and its plan."""
        plan = ViewPlan([EquirectangularView()])
        width = min(WHOLE_WIDTH, self.image.shape[-1])
        return plan, self.views(plan, (width // 2, width))
