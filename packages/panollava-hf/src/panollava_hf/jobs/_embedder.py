"""`PanoramaEmbedder`."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from panollava_hf._errors import ModelError, UsageError
from panollava_hf._shown import shown
from panollava_hf.jobs._job import Item, Job
from panollava_hf.jobs._model_source import weights_digest
from panollava_hf.jobs._reading import reading_options, redirects
from panollava_hf.jobs._warned import reading

if TYPE_CHECKING:
    from panollava_hf.jobs._embedder_model import Embedder

#: The default model: 22 million parameters, Apache 2.0. Its vectors mean something without training.
DEFAULT_EMBEDDER = "facebook/dinov2-small"

#: Floating-point types of models.
DTYPES = ("float32", "bfloat16", "float16")

Pooling = Literal["mean", "max", "first", "cls", "pooler", "cls+mean", "pooler+mean"]


class PanoramaEmbedder(Job):
    """Panoramas → vectors: one per panorama, and one per view with its direction. Vectors have unit length.

    A batch is cut into views in the threads of the caller, and the model runs once per batch.

    Args:
        model: Hub id or folder of a vision tower of transformers, of a PanoLLaVA checkpoint or of an embedding export,
            or "embedded". Default: `facebook/dinov2-small`. The environment is not read: vectors can only be compared
            with vectors of the same model.
        pooling: How tokens become a vector, as in `PanoLLaVaForFeatureExtraction.from_tower`; default: the model's.
        pooled_views: Views that the panorama's vector is made of: "tiles", without the global view, or "all"; default:
            the model's.
        strategy: How a panorama is cut, as in `plan_views`. Like the next four, the default is the model's. A
            checkpoint with a connector takes none of them: it was trained with its views.
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
        private_redirects: Whether URLs of images may redirect from a public address to a private one.

    Raises:
        UsageError: An argument has an impossible value.
        PanoramaError: The options of reading exclude each other.

    Example:
        >>> from panollava_hf import PanoramaEmbedder
        >>> from panollava_hf.panoshapes import render_scene, sample_scene
        >>> embed = PanoramaEmbedder("embedded")
        >>> rows = embed({"image": [render_scene(sample_scene(0, "test", 0), width=256)]})
        >>> len(rows["vector"][0]), rows["width"], len(rows["views"][0]), rows["error"]
        (128, [256], 6, [None])
    """

    columns = ("width", "height", "vector", "views")

    def __init__(
        self,
        model: str | None = None,
        *,
        pooling: Pooling | None = None,
        pooled_views: Literal["all", "tiles"] | None = None,
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
        private_redirects: bool = False,
    ) -> None:
        super().__init__()
        if dtype is not None and dtype not in DTYPES:
            raise UsageError(f"dtype {shown(dtype)}: expected {', '.join(DTYPES)}")
        if batch_size < 1:
            raise UsageError(f"batch_size {batch_size}: expected a number of 1 or more")
        if model is not None and not str(model).strip():
            raise ModelError("the name of the model is empty; name one, or leave it out for the default")
        self.name = DEFAULT_EMBEDDER if model is None else str(model)
        options = {
            "pooling": pooling,
            "pooled_views": pooled_views,
            "crop_strategy": strategy,
            "num_views": num_views,
            "fov_deg": fov_deg,
            "overlap_ratio": overlap_ratio,
            "view_size": view_size,
        }
        self.options = {name: value for name, value in options.items() if value is not None}
        self.device, self.dtype, self.batch_size = device, dtype, batch_size
        self.reading = reading_options(hfov_deg, partial, eye, whole_sphere)
        self.private_redirects = private_redirects

    def settings(self) -> dict[str, Any]:
        """The model with a digest of its weights, and how panoramas are read, cut and pooled."""
        return {
            "job": "embed",
            "model": self.name,
            "weights": weights_digest(self.name),
            **self.options,
            **self.reading,
            "dtype": self.dtype,
        }

    def load(self) -> "Embedder":
        """Load the model and its image processor.

        Raises:
            ModelError: There is no such model, or it has no vision tower.
        """
        from panollava_hf.jobs._embedder_model import Embedder

        return Embedder(self.name, self.options, self.device, self.dtype)

    def read(self, item: Item) -> Any:
        """The views `[V, 3, h, w]` uint8 of a panorama, decoded no finer than they need, and its width and height."""
        with redirects(self.private_redirects):
            return self.model.read(item.image, self.reading)

    def compute(self, items: Sequence[Item], inputs: Sequence[Any]) -> list[Mapping[str, Any] | Exception]:
        """One forward pass for all panoramas; on the CPU a few views at a time, which is faster there.

        A `PanoramaWarning` says so if an image is unlike those that the model was trained on, as its config has it.
        """
        import numpy as np

        vectors, views, unlike = self.model.embed_and_compare([cut for cut, _ in inputs])
        for item, images in zip(items, unlike, strict=True):
            if images:
                warn_unlike(images, item.path, item.id)
        rows: list[Mapping[str, Any] | Exception] = []
        for vector, of_views, (_, (width, height)) in zip(vectors, views, inputs, strict=True):
            listed = [
                {"yaw_deg": yaw, "pitch_deg": pitch, "vector": of_views[index]}
                for index, (yaw, pitch) in self.model.directions.items()
            ]
            if not (np.isfinite(vector).all() and np.isfinite(of_views).all()):
                rows.append(
                    ModelError("the model returned a vector that is not finite; use another dtype, such as float32")
                )
                continue
            rows.append({"width": width, "height": height, "vector": vector, "views": listed})
        return rows

    def schema(self) -> Any:
        """The `pyarrow.Schema` of the results."""
        import pyarrow as pa

        # Lists of fixed size would say the width, too, but pyarrow before 26 cannot read one that is null from Parquet.
        vector = pa.list_(pa.float32())
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


def warn_unlike(images: str, path: str | None, id: str) -> None:
    """Warn about an image that is unlike those of the training; jobs count such warnings.

    Args:
        images: What the images of the training are.
        path: Path of the image.
        id: Its name in the results.
    """
    from panollava_geometry import PanoramaWarning

    from panollava_hf.asking._unknown import unlike_vectors

    with reading(path, id):
        warnings.warn(PanoramaWarning(unlike_vectors(images)), stacklevel=3)
