"""`PanoramaEmbedder`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from panollava_hf._errors import ModelError, one_line
from panollava_hf.jobs._job import Item, Job

#: The default model: 22 million parameters, Apache 2.0. Its vectors mean something without training.
DEFAULT_EMBEDDER = "facebook/dinov2-small"

Pooling = Literal["mean", "max", "first"]


class PanoramaEmbedder(Job):
    """Panoramas → vectors: one per panorama, and one per view with its direction. Vectors have unit length.

    A batch is cut into views in the threads of the caller, and the model runs once per batch.

    Args:
        model: Hub id or folder of a vision tower of transformers, of a PanoLLaVA checkpoint or of an embedding export,
            or "embedded". Default: `facebook/dinov2-small`. The environment is not read: vectors can only be compared
            with vectors of the same model.
        pooling: How tokens become a vector, as in `PanoLLaVaForFeatureExtraction`; default: the model's.
        strategy: How a panorama is cut, as in `plan_views`. Like the next four, the default is the model's.
        num_views: Tiles of the ring.
        fov_deg: Field of view of a tile in degrees.
        overlap_ratio: Overlap of neighbouring tiles, in [0, 1).
        view_size: Height and width of a view in pixels.
        device: Device of the model; default: the accelerator of this machine, else the CPU.
        dtype: Floating-point type of the model, such as "bfloat16"; default: as stored.
        batch_size: Panoramas per forward pass.
        hfov_deg: Horizontal field of view of partial panoramas in degrees.
        partial: The images are partial panoramas of unknown field of view.
        eye: The images are stereo panoramas; read the "left" or the "right" one.
        whole_sphere: The images show the whole sphere although they are not 2:1.

    Raises:
        ValueError: A setting has an impossible value.

    Example:
        >>> import numpy as np
        >>> embed = PanoramaEmbedder("embedded")
        >>> rows = embed({"image": [np.zeros((64, 128, 3), np.uint8)]})
        >>> len(rows["vector"][0]), rows["width"], len(rows["views"][0]), rows["error"]
        (128, [128], 6, [None])
    """

    columns = ("width", "height", "vector", "views")

    def __init__(
        self,
        model: str | None = None,
        *,
        pooling: Pooling | None = None,
        strategy: str | None = None,
        num_views: int | None = None,
        fov_deg: float | None = None,
        overlap_ratio: float | None = None,
        view_size: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 16,
        hfov_deg: float | None = None,
        partial: bool = False,
        eye: Literal["left", "right"] | None = None,
        whole_sphere: bool = False,
    ) -> None:
        super().__init__()
        self.name = DEFAULT_EMBEDDER if model is None else str(model)
        self.pooling = pooling
        crop = {"crop_strategy": strategy, "num_views": num_views, "fov_deg": fov_deg, "overlap_ratio": overlap_ratio}
        crop["image_size"] = view_size
        self.crop = {name: value for name, value in crop.items() if value is not None}
        self.device, self.dtype, self.batch_size = device, dtype, batch_size
        reading = {"hfov_deg": hfov_deg, "partial": partial, "eye": eye, "whole_sphere": whole_sphere}
        self.reading = {name: value for name, value in reading.items() if value}

    def settings(self) -> dict[str, Any]:
        """The model with a digest of its weights, and how panoramas are read, cut and pooled."""
        return {
            "job": "embed",
            "model": self.name,
            "weights": _fingerprint(self.name),
            "pooling": self.pooling,
            "crop": dict(self.crop),
            "reading": dict(self.reading),
            "dtype": self.dtype,
        }

    def load(self) -> "Embedder":
        """Load the model and its image processor.

        Raises:
            ModelError: There is no such model, or it has no vision tower.
        """
        return Embedder(self.name, pooling=self.pooling, device=self.device, dtype=self.dtype, **self.crop)

    def read(self, item: Item) -> Any:
        """The views `[V, 3, h, w]` uint8 of a panorama, decoded no finer than they need, and its width and height."""
        return self.model.read(item.image, self.reading)

    def compute(self, items: Sequence[Item], inputs: Sequence[Any]) -> list[Mapping[str, Any] | Exception]:
        """One forward pass for all panoramas."""
        vectors, views = self.model.embed([cut for cut, _ in inputs])
        rows: list[Mapping[str, Any] | Exception] = []
        for vector, of_views, (_, (width, height)) in zip(vectors, views, inputs, strict=True):
            shown = [
                {"yaw_deg": yaw, "pitch_deg": pitch, "vector": of_views[index]}
                for index, (yaw, pitch) in self.model.directions.items()
            ]
            rows.append({"width": width, "height": height, "vector": vector, "views": shown})
        return rows

    def schema(self) -> Any:
        """The `pyarrow.Schema` of the results, with the width of the model's vectors."""
        import pyarrow as pa

        vector = pa.list_(pa.float32(), self.model.width)
        view = pa.struct([("yaw_deg", pa.float32()), ("pitch_deg", pa.float32()), ("vector", vector)])
        return pa.schema(
            [
                ("id", pa.string()),
                ("path", pa.string()),
                ("width", pa.int32()),
                ("height", pa.int32()),
                ("vector", vector),
                ("views", pa.list_(view)),
                ("error", pa.string()),
            ]
        )


class Embedder:
    """A model that was loaded, with the views it takes."""

    def __init__(self, name: str, *, pooling: Any, device: Any, dtype: Any, **crop: Any) -> None:
        import torch

        found = torch.accelerator.current_accelerator(check_available=True)
        self.device = torch.device(device or found or "cpu")
        model, self.processor = _load(name, pooling, dtype, crop)
        self.model = model.to(self.device).eval()
        self.plan = self.processor.view_plan()
        self.size = (self.processor.size["height"], self.processor.size["width"])
        self.max_width = self.plan.required_width(self.size)
        self.width = int(getattr(model.config, "projection_dim", None) or model.config.latent_dimension)
        #: Yaw and pitch of the views that have a direction, by their place in the plan.
        self.directions = {i: found for i, view in enumerate(self.plan) if (found := direction(view)) is not None}

    def read(self, source: Any, reading: Mapping[str, Any]) -> tuple[Any, tuple[int, int]]:
        """Views as the image processor cuts them, without its normalisation."""
        from panollava_geometry import extract_views
        from panollava_geometry.files import load_with_size

        panorama, size = load_with_size(source, max_width=self.max_width, **reading)
        return extract_views(panorama, self.plan, self.size, antialias=self.processor.antialias), size

    def embed(self, views: Sequence[Any]) -> tuple[Any, Any]:
        """Vectors `[B, D]` and those of views `[B, V, D]`, float32 arrays of unit length."""
        import torch

        with torch.inference_mode(), memory_errors(len(views)):
            pixels = self.processor.normalise(torch.stack(list(views)).to(self.device))
            output = self.model(pixel_values=pixels.to(self.model.dtype))
            vectors, of_views = output.pooler_output, output.view_embeds
            return tuple(torch.nn.functional.normalize(t.float(), dim=-1).cpu().numpy() for t in (vectors, of_views))


def direction(view: Any) -> tuple[float, float] | None:
    """Yaw and pitch of the centre of a view; None for one that goes around the whole horizon."""
    if hasattr(view, "yaw_deg"):
        return float(view.yaw_deg), float(view.pitch_deg)
    (left, right), (low, high) = view.longitude_range_deg, view.latitude_range_deg
    if right - left >= 360:
        return None
    return 180 - (180 - (left + right) / 2) % 360, (low + high) / 2


@contextmanager
def memory_errors(batch: int) -> Iterator[None]:
    """What torch raises when memory is too small for a batch, as one line."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(batch, error) from error
    except RuntimeError as error:  # of the CPU's allocator
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise _too_large(batch, error) from error


def _too_large(batch: int, error: BaseException) -> ModelError:
    return ModelError(
        f"there is not enough memory for {batch} panorama{'s' * (batch != 1)} in one forward pass ({one_line(error)}); "
        "use a smaller batch_size (--batch-size), fewer workers, or another device"
    )


def _load(name: str, pooling: Any, dtype: Any, crop: Mapping[str, Any]) -> tuple[Any, Any]:
    from panollava_hf import default_checkpoint
    from panollava_hf._loading import load_model, load_processor
    from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction

    source = default_checkpoint() if name == "embedded" else name
    model = load_model(PanoLLaVaForFeatureExtraction, source, dtype=dtype)
    processor = load_processor(source, needs_text=False)
    model.forward = _with_views(model.forward)
    return model, getattr(processor, "image_processor", processor)


def _with_views(forward: Any) -> Any:
    def call(**inputs: Any) -> Any:
        output = forward(**inputs)
        output.view_embeds = output.last_hidden_state.mean(2)
        return output

    return call


def _fingerprint(name: str) -> str | None:
    from types import SimpleNamespace

    from panollava_hf.asking.models._fingerprint import fingerprint

    return fingerprint(name, SimpleNamespace(_commit_hash=None))
