"""`PanoramaCropper`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from panollava_hf._errors import UsageError
from panollava_hf.jobs._folder_names import folder_name
from panollava_hf.jobs._job import Item, Job
from panollava_hf.jobs._reading import reading_options, redirects


class PanoramaCropper(Job):
    """Panoramas → folders of views: the views, plan.json, and an image of every view's footprint.

    A folder appears with all its files, or not at all. Views of an earlier run are replaced.

    Args:
        output: Folder for the results.
        plan: The views, as `ViewPlan`, its JSON text, or None for `plan_views(**options)`.
        size: Height and width of a view in pixels; None: each at the panorama's own resolution.
        image_format: File format of the views.
        names: Folders of certain ids. All others are named after their id alone. None: a digest is added to all names,
            which keeps ids apart that differ only in suffix or case, without knowledge of the other ids.
        hfov_deg: Horizontal field of view of partial panoramas in degrees.
        partial: The images are partial panoramas of unknown field of view.
        eye: The images are stereo panoramas; read the "left" or the "right" one.
        whole_sphere: The images show the whole sphere although they are not 2:1.
        pose: Turn panoramas by the pose in their GPano metadata: "level" or "north".
        private_redirects: Whether URLs of images may redirect from a public address to a private one.
        options: Arguments of `plan_views`, such as `strategy="cubemap"`.

    Raises:
        PanoramaError: The plan is impossible, its views are too large, or the options of reading exclude each other.

    Example:
        >>> from panollava_hf import PanoramaCropper
        >>> import tempfile
        >>> import numpy as np
        >>> crop = PanoramaCropper(tempfile.mkdtemp(), size=32, strategy="cubemap")
        >>> rows = crop({"id": ["town/square.jpg"], "image": [np.zeros((64, 128, 3), np.uint8)]})
        >>> rows["folder"], len(rows["views"][0]), rows["error"]
        (['town/square-23b09cbb2d'], 6, [None])
    """

    columns = ("folder", "views")
    batch_size = 8
    gpus_per_worker = 0

    def __init__(
        self,
        output: str | Path,
        plan: Any = None,
        *,
        size: int | None = None,
        image_format: Literal["png", "jpeg"] = "png",
        names: Mapping[str, str] | None = None,
        hfov_deg: float | None = None,
        partial: bool = False,
        eye: Literal["left", "right"] | None = None,
        whole_sphere: bool = False,
        pose: Literal["level", "north"] | None = None,
        private_redirects: bool = False,
        **options: Any,
    ) -> None:
        from panollava_geometry import ViewPlan, plan_views
        from panollava_geometry.files import check_size

        super().__init__()
        if plan is not None and options:
            raise UsageError(f"{', '.join(options)} cannot change a plan that is given; pass either of them")
        if image_format not in ("png", "jpeg"):
            raise UsageError(f"image_format {image_format!r}: expected 'png' or 'jpeg'")
        self.output = Path(output)
        found = ViewPlan.from_json(plan) if isinstance(plan, str) else plan_views(**options) if plan is None else plan
        if size is not None:
            check_size(found, size, image_format)
        self.plan_text = found.to_json(indent=None)
        self.size, self.image_format = size, image_format
        self.names = None if names is None else dict(names)
        self.reading = reading_options(hfov_deg, partial, eye, whole_sphere, pose)
        self.private_redirects = private_redirects

    def settings(self) -> dict[str, Any]:
        """The plan, the size and format of views, and how panoramas are read."""
        return {
            "job": "crop",
            "plan": self.plan_text,
            "size": self.size,
            "image_format": self.image_format,
            "reading": dict(self.reading),
        }

    def load(self) -> Any:
        """The plan; there is no model."""
        from panollava_geometry import ViewPlan

        return ViewPlan.from_json(self.plan_text)

    def folder_of(self, id: str) -> str:
        """The folder of a panorama, relative to the output."""
        if self.names is None:
            return folder_name(id)
        return self.names.get(id) or folder_name(id, digest=False)

    def read(self, item: Item) -> Any:
        """Decode and cut a panorama, and write its folder; engines do this in threads."""
        from panollava_geometry.files import crop_file

        folder = self.folder_of(item.id)
        place = self.output / folder
        with redirects(self.private_redirects):
            written = crop_file(item.image, place, self.model, self.size, self.image_format, options=self.reading)
        return folder, [path.name for path in written if path.name.startswith("view_")]

    def compute(self, items: Sequence[Item], inputs: Sequence[Any]) -> list[Mapping[str, Any] | Exception]:
        """The folder and the files of the views of every panorama."""
        return [{"folder": folder, "views": views} for folder, views in inputs]

    def schema(self) -> Any:
        """The `pyarrow.Schema` of the results."""
        import pyarrow as pa

        text = pa.string()
        fields = {"id": text, "path": text, "folder": text, "views": pa.list_(text), "error": text}
        return pa.schema(list(fields.items()))
