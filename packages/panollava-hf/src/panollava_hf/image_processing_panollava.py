"""Panoramas → normalised perspective views, cut as the model expects them."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import torch
from panollava_geometry import ViewPlan, extract_views, load_equirectangular, plan_views, view_rays
from torch import Tensor
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.processing_utils import ImagesKwargs

from panollava_hf._child_processes import allow_forks
from panollava_hf._image_settings import (
    FIXED,
    check_fixed_settings,
    float_panorama,
    is_float,
    one_colour,
    require_rgb,
)
from panollava_hf._own_code import forget_exported_code
from panollava_hf._pickling import by_name
from panollava_hf._shown import shown
from panollava_hf._tower_pixels import tower_pixels
from panollava_hf.outside._bounds import as_size, require_flag, require_number, require_plan, require_total

__all__ = ["PanoLLaVaImageProcessor"]


def flatten_images(images: Any) -> list[Any]:
    """One panorama, a list, or a list of lists (several per prompt) → a flat list, in order."""
    if isinstance(images, (list, tuple)):
        return [image for entry in images for image in flatten_images(entry)]
    if hasattr(images, "ndim") and images.ndim == 4:
        return list(images)
    return [images]


#: An image as base64 text: longer than a path, and made of base64's letters only.
BASE64 = re.compile(r"[A-Za-z0-9+/\s]{200,}={0,2}\s*")


def decoded(source: Any) -> Any:
    """The bytes of an image given as a data URL or base64 text, as chat clients send it; any other source unchanged.

    An image that `datasets` has not decoded, `{"bytes": …, "path": …}`, is its bytes, or its path if it has none.

    Raises:
        ValueError: It is a data URL without base64, the base64 is damaged, or the dict is empty.
    """
    if isinstance(source, Mapping) and source and set(source) <= {"bytes", "path"}:
        found = source.get("path") if source.get("bytes") is None else source["bytes"]
        if found is None:
            raise ValueError("the image has neither bytes nor a path; replace it")
        return found
    if not isinstance(source, str):
        return source
    head, comma, text = source[:200].partition(",")
    if head.startswith("data:"):
        if not comma or not head.endswith(";base64"):
            raise ValueError(f"{shown(head)} is not an image; expected a data URL like data:image/jpeg;base64,…")
        text = source[len(head) + 1 :]
    elif BASE64.fullmatch(source):
        text = source
    else:
        return source
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise ValueError(f"{shown(source)} is not valid base64: {error}") from error


def _statistic(name: str, values: Any, low: float) -> list[float]:
    """Mean or deviation per channel, checked."""
    if isinstance(values, (Tensor, np.ndarray, np.generic)):
        values = values.tolist()
    values = list(values) if hasattr(values, "__len__") and not isinstance(values, (str, dict)) else [values]
    if len(values) not in (1, 3):
        raise ValueError(f"{name} must have 3 numbers, got {shown(values)}")
    for value in values:
        require_number(name, value, low, 1e6)
    return values


def _same(value: Any, setting: Any) -> bool:
    plain = value.tolist() if isinstance(value, (Tensor, np.ndarray)) else value
    return bool(plain == setting)


class PanoLLaVaImageProcessorKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]  # its base is not seen by mypy
    """Settings of the constructor that a call may override."""

    crop_strategy: str
    num_views: int | None
    fov_deg: float
    overlap_ratio: float
    token_grid: list[int] | None
    antialias: bool


class PanoLLaVaImageProcessor(BaseImageProcessor):
    """Cut equirectangular panoramas into views and normalise them.

    Args:
        size: Height and width of a view in pixels (an int is square, a dict has `height` and `width`).
        image_mean: Per-channel mean of the vision tower, for values in [0, 1].
        image_std: Per-channel standard deviation of the vision tower.
        crop_strategy: Strategy of `panollava_geometry.plan_views`.
        num_views: Tiles of the ring; None derives them.
        fov_deg: Field of view of a tile, in degrees.
        overlap_ratio: Overlap of neighbouring tiles, in [0, 1).
        token_grid: Rows and columns of latent tokens per view; if given, `view_rays` are returned as well.
        antialias: Low-pass filter the panorama to the resolution of a view.
        do_rescale: Multiply pixel values by `rescale_factor`. Without it, values are used as they are, so that float
            images in [0, 1] can be passed.
        rescale_factor: The factor.
        do_normalize: Subtract `image_mean` and divide by `image_std`.
        do_convert_rgb: Make three channels of Pillow images, arrays and tensors with another number; without it, these
            are refused. Files are always decoded as RGB.
        kwargs: For `BaseImageProcessor`. Settings of other image processors that cannot apply to panoramas
            (`do_resize=False`, `do_center_crop=True`, …) are refused.

    Example:
        >>> from panollava_hf import PanoLLaVaImageProcessor
        >>> import numpy as np
        >>> processor = PanoLLaVaImageProcessor(size=32)
        >>> processor(np.zeros((64, 128, 3), dtype=np.uint8))["pixel_values"].shape
        torch.Size([1, 7, 3, 32, 32])
    """

    valid_kwargs = PanoLLaVaImageProcessorKwargs
    model_input_names = ["pixel_values", "view_rays"]  # noqa: RUF012 - transformers reads a plain list

    def __init__(
        self,
        size: int | dict[str, int] | Sequence[int] = 224,
        image_mean: Sequence[float] = (0.5, 0.5, 0.5),
        image_std: Sequence[float] = (0.5, 0.5, 0.5),
        crop_strategy: str = "anyres_e2p",
        num_views: int | None = None,
        fov_deg: float = 90.0,
        overlap_ratio: float = 0.3,
        token_grid: Sequence[int] | None = None,
        antialias: bool = True,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_normalize: bool = True,
        do_convert_rgb: bool = True,
        **kwargs: Any,
    ) -> None:
        check_fixed_settings(kwargs)
        super().__init__(**{"do_resize": True, **kwargs})
        height, width = as_size("size", size)
        self.size = {"height": height, "width": width}
        self.image_mean = _statistic("image_mean", image_mean, -1e6)
        self.image_std = _statistic("image_std", image_std, 1e-6)
        require_plan(crop_strategy, fov_deg, overlap_ratio, num_views)
        require_flag("antialias", antialias)
        require_flag("do_rescale", do_rescale)
        require_flag("do_normalize", do_normalize)
        require_flag("do_convert_rgb", do_convert_rgb)
        require_number("rescale_factor", rescale_factor, -1e6, 1e6)
        if rescale_factor == 0:
            raise ValueError("rescale_factor must not be 0; to use pixel values as they are, pass do_rescale=False")
        self.crop_strategy = crop_strategy
        self.num_views = num_views
        self.fov_deg = fov_deg
        self.overlap_ratio = overlap_ratio
        self.token_grid = None if token_grid is None else list(as_size("token_grid", token_grid))
        self.antialias = antialias
        self.do_rescale = do_rescale
        self.rescale_factor = rescale_factor
        self.do_normalize = do_normalize
        self.do_convert_rgb = do_convert_rgb
        # Impossible settings are reported here, not at the first image.
        require_total(len(self.view_plan()), (height, width), self.token_grid)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return by_name(super().__reduce_ex__(2))

    def to_dict(self) -> dict[str, Any]:
        """The settings; code of an export is named only if it is saved as well."""
        forget_exported_code(self)
        settings: dict[str, Any] = super().to_dict()
        return settings

    @classmethod
    def from_config(
        cls, config: Any, image_mean: Sequence[float], image_std: Sequence[float]
    ) -> "PanoLLaVaImageProcessor":
        """The image processor for a model's config; mean and std are those of the vision tower."""
        height, width = config.image_size
        return cls(
            size={"height": height, "width": width},
            image_mean=image_mean,
            image_std=image_std,
            crop_strategy=config.crop_strategy,
            num_views=config.num_views,
            fov_deg=config.fov_deg,
            overlap_ratio=config.overlap_ratio,
            token_grid=config.token_grid(),
        )

    @classmethod
    def from_tower(
        cls, name: str | Path, *, size: int | Sequence[int] | None = None, hub: Any = None, **settings: Any
    ) -> "PanoLLaVaImageProcessor":
        """The image processor for a pretrained vision tower: its mean, standard deviation and usual size.

        Args:
            name: Vision tower, a folder or Hub id.
            size: Height and width of a view in pixels; default: what the tower's own image processor makes.
            hub: `revision`, `token`, `cache_dir` and others for a Hub id, by name.
            settings: Settings of the constructor (`crop_strategy`, `num_views`, `fov_deg`, `overlap_ratio`, …).

        Raises:
            ModelError: The tower cannot be found, or does not give mean and standard deviation.
            ValueError: A setting has an impossible value or is unknown, or the tower has no usual size.

        Example:
            >>> from panollava_hf import PanoLLaVaImageProcessor
            >>> PanoLLaVaImageProcessor.from_tower("facebook/dinov2-small").size  # doctest: +SKIP
            {'height': 224, 'width': 224}
        """
        if unknown := settings.keys() - PanoLLaVaImageProcessorKwargs.__annotations__.keys():
            names = "size, crop_strategy, num_views, fov_deg, overlap_ratio, token_grid, antialias"
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}; expected {names}")
        pixels = tower_pixels(str(name), **(hub or {}))
        chosen = pixels.size if size is None else size
        if chosen is None:
            raise ValueError(f"the vision tower {shown(str(name))} does not give the size of its images; pass size")
        return cls(size=chosen, image_mean=pixels.mean, image_std=pixels.std, **settings)

    def view_plan(self) -> ViewPlan:
        """The views a panorama is cut into, global view first."""
        return plan_views(
            self.crop_strategy, fov_deg=self.fov_deg, overlap_ratio=self.overlap_ratio, num_views=self.num_views
        )

    def fetch_images(self, images: Any) -> Any:
        """Load paths, URLs, base64, bytes, PIL images and arrays (nested as given) as `[3, H, 2H]` uint8 tensors.

        Files are decoded no larger than the views need. Float images become uint8 if their values are in [0, 255]; with
        `do_rescale=False` or another `rescale_factor` than 1/255 they stay as they are. A PIL image of one colour is a
        panorama of that colour, whatever its shape: serving engines measure memory with such images.

        Raises:
            PanoramaError: An image is unreadable, not 2:1, or has float values of another range.
        """
        if isinstance(images, (list, tuple)):
            return [self.fetch_images(image) for image in images]
        if getattr(images, "ndim", 0) == 4:
            return [self.fetch_images(image) for image in images]
        if not self.do_convert_rgb:
            require_rgb(images)
        if isinstance(images, Tensor) and images.ndim == 3 and images.dtype == torch.uint8:
            return images
        if is_float(images):
            return float_panorama(images, rescaled=self.do_rescale and self.rescale_factor == 1 / 255)
        images = decoded(images)
        if not isinstance(images, (str, bytes, Path)):
            return load_equirectangular(one_colour(images))
        return load_equirectangular(images, max_width=self.view_plan().required_width(self._pixels()))

    def _pixels(self) -> tuple[int, int]:
        return self.size["height"], self.size["width"]

    def preprocess(
        self, images: Any, return_tensors: Any = None, device: "str | torch.device | None" = None, **kwargs: Any
    ) -> BatchFeature:
        """Cut and normalise.

        Args:
            images: One panorama or a (nested) list: path, URL, data URL, base64, bytes, PIL image, `[H, W, 3]` array,
                `[3, H, W]` tensor, or the dict of an image that `datasets` has not decoded.
            return_tensors: Accepted for compatibility with transformers; the result is always PyTorch tensors.
            device: Where the views are cut; default: the panorama's device.
            kwargs: Settings of the constructor that this call overrides.

        Returns:
            `pixel_values` `[panoramas, views, 3, h, w]` float32 and, when the token grid is known, `view_rays`
            `[panoramas, views, H', W', 3]` float32.

        Raises:
            ValueError: An unknown setting, no image, or an unreadable panorama.
        """
        settings = self._own_settings()
        check_fixed_settings(kwargs)
        unknown = set(kwargs) - set(settings) - set(FIXED) - set(ImagesKwargs.__annotations__)
        if unknown:
            raise ValueError(f"unknown image settings {sorted(unknown)}; valid settings: {sorted(settings)}")
        asked = self.changed_by(kwargs)
        if asked is not self:
            return asked.preprocess(images, device=device)
        panoramas = flatten_images(images)
        if not panoramas:
            raise ValueError("images is empty: pass at least one panorama")
        allow_forks()
        plan, size = self.view_plan(), self._pixels()
        views = torch.stack([self._views(self.fetch_images(p), plan, size, device) for p in panoramas])
        data = {"pixel_values": views}
        if self.token_grid is not None:
            rays = view_rays(plan, (self.token_grid[0], self.token_grid[1])).to(views.device, views.dtype)
            data["view_rays"] = rays.expand(len(panoramas), *rays.shape)
        return BatchFeature(data)

    def changed_by(self, options: Mapping[str, Any]) -> "PanoLLaVaImageProcessor":
        """This image processor, or one with the settings of a call if any of them is another.

        Args:
            options: Options of a call; None leaves a setting as it is, and those of other processors are ignored.
        """
        settings = self._own_settings()
        changed = {key: value for key, value in options.items() if key in settings and value is not None}
        if all(_same(value, settings[key]) for key, value in changed.items()):
            return self
        return type(self)(**{**settings, **changed})

    def _own_settings(self) -> dict[str, Any]:
        names = ("size", "image_mean", "image_std", "crop_strategy", "num_views", "fov_deg", "overlap_ratio")
        more = ("token_grid", "antialias", "do_rescale", "rescale_factor", "do_normalize", "do_convert_rgb")
        return {name: getattr(self, name) for name in (*names, *more)}

    def _views(self, erp: Tensor, plan: ViewPlan, size: tuple[int, int], device: Any) -> Tensor:
        erp = erp if device is None else erp.to(device)
        return self.normalise(extract_views(erp, plan, size, antialias=self.antialias))

    def normalise(self, views: Tensor) -> Tensor:
        """Views `[…, 3, h, w]` → float32, rescaled and normalised for the vision tower as `do_…` say."""
        pixels = views.float()
        if self.do_rescale:  # a division by 255 rounds differently from a product with 1 / 255
            pixels = pixels / 255.0 if self.rescale_factor == 1 / 255 else pixels * self.rescale_factor
        if self.do_normalize:
            mean, std = self._statistics(views.device)
            pixels = (pixels - mean).div_(std)
        return pixels

    def denormalise(self, views: Tensor) -> Tensor:
        """The inverse of `normalise`: views `[…, 3, h, w]` → uint8 images on the CPU.

        With `do_rescale=False`, the pixels are taken to be in [0, 1].
        """
        pixels = views.float()
        if self.do_normalize:
            mean, std = self._statistics(views.device)
            pixels = pixels * std + mean
        usual = not self.do_rescale or self.rescale_factor == 1 / 255
        pixels = pixels * 255 if usual else pixels / self.rescale_factor
        return pixels.round().clamp(0, 255).to(torch.uint8).cpu()

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(value, device=device).view(-1, 1, 1) for value in (self.image_mean, self.image_std))
        return mean, std
