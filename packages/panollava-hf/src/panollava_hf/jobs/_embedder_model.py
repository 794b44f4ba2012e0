"""The model of `PanoramaEmbedder`: views of panoramas in, vectors out."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from panollava_hf.jobs._device import accelerator, check_device, memory_errors
from panollava_hf.jobs._model_source import without_bars

#: Views in one forward pass on the CPU: the activations of more do not fit its caches.
CPU_VIEWS = 8


class Embedder:
    """A model that was loaded, with the views it takes."""

    def __init__(self, name: str, options: Mapping[str, Any], device: str | None, dtype: str | None) -> None:
        import torch

        from panollava_hf._loading import CUTTING, load_embedder
        from panollava_hf.asking._default_model import EMBEDDED, default_checkpoint
        from panollava_hf.asking.models._known_images import KnownImages

        source = default_checkpoint() if name == EMBEDDED else name
        kind = None if dtype is None else getattr(torch, dtype)
        self.device = torch.device(device or accelerator())
        check_device(self.device)
        with without_bars(), memory_errors(0), warnings.catch_warnings():
            if "overlap_ratio" not in options:  # the number of tiles takes precedence
                warnings.filterwarnings("ignore", "num_views=.* tiles of", UserWarning)
            self.model, self.processor = load_embedder(source, settings=options, dtype=kind, device=self.device)
        self.plan = self.processor.view_plan()
        self.size = (self.processor.size["height"], self.processor.size["width"])
        self.max_width = self.plan.required_width(self.size)
        self.width = int(self.model.config.projection_dim)
        places = {place: direction(view) for place, view in enumerate(self.plan)}
        images = self.model.config.known_images
        own_views = not options.keys() & {*CUTTING, "view_size"}
        self._known = None if images is None or not own_views else KnownImages(images, name)
        #: Yaw and pitch of the views that have a direction, by their place in the plan.
        self.directions = {place: found for place, found in places.items() if found is not None}

    def read(self, source: Any, reading: Mapping[str, Any]) -> tuple[Any, tuple[int, int]]:
        """Views as the image processor cuts them, without its normalisation."""
        from panollava_geometry import extract_views
        from panollava_geometry.files import load_with_size

        panorama, size = load_with_size(source, max_width=self.max_width, **reading)
        return extract_views(panorama, self.plan, self.size, antialias=self.processor.antialias), size

    def embed(self, views: Sequence[Any]) -> tuple[Any, Any]:
        """Vectors `[B, D]` and those of views `[B, V, D]`, float32 arrays of unit length."""
        return self.embed_and_compare(views)[:2]

    def embed_and_compare(self, views: Sequence[Any]) -> tuple[Any, Any, list[str]]:
        """`embed`, and for each panorama what the images of the training are, if it is unlike them, else an empty text.

        Both come from one pass. Without a statistic in the model's config, nothing is unlike.
        """
        import numpy as np

        step = max(1, CPU_VIEWS // len(self.plan)) if self.device.type == "cpu" else len(views)
        with memory_errors(step):
            parts = [self._forward(views[start : start + step]) for start in range(0, len(views), step)]
        vectors, of_views, unlike = zip(*parts, strict=True)
        return np.concatenate(vectors), np.concatenate(of_views), [text for texts in unlike for text in texts]

    def _forward(self, views: Sequence[Any]) -> tuple[Any, Any, list[str]]:
        """`embed_and_compare` in one forward pass."""
        import torch

        from panollava_hf.jobs._cpu_linear import fast_linear

        with torch.inference_mode(), fast_linear(self.device):
            pixels = self.processor.normalise(torch.stack(list(views)).to(self.device))
            states = {} if self._known is None else {"output_hidden_states": True}
            output = self.model(pixel_values=pixels.to(self.model.dtype), **states)
            found = [
                torch.nn.functional.normalize(f.float(), dim=-1) for f in (output.pooler_output, output.view_embeds)
            ]
            unlike = [""] * len(views)
            if self._known is not None:
                distances = self._known.distances_in(output.hidden_states, len(views))
                unlike = [self._known.description if far else "" for far in distances > self._known.threshold]
            return found[0].cpu().numpy(), found[1].cpu().numpy(), unlike


def direction(view: Any) -> tuple[float, float] | None:
    """Yaw and pitch of the centre of a view; None for one that goes around the whole horizon."""
    if hasattr(view, "yaw_deg"):
        return float(view.yaw_deg), float(view.pitch_deg)
    (left, right), (low, high) = view.longitude_range_deg, view.latitude_range_deg
    if right - left >= 360:
        return None
    return 180 - (180 - (left + right) / 2) % 360, (low + high) / 2
