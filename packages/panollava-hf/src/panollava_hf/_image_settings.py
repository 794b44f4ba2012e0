"""What the usual settings of image processors mean for panoramas, and the images that need care before they are cut."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from panollava_geometry import PanoramaError
from PIL import Image
from torch import Tensor

from panollava_hf._shown import shown

__all__ = ["FIXED", "check_fixed_settings", "float_panorama", "is_float", "one_colour", "require_rgb"]

_VIEWS = "every view is cut from the panorama at `size`"
#: Settings of other image processors: the only value that has a meaning here, and why.
FIXED: dict[str, tuple[Any, str]] = {
    "do_resize": (True, _VIEWS),
    "default_to_square": (True, "an int `size` is square"),
    "resample": (Image.Resampling.BILINEAR, "views are sampled bilinearly; `antialias` sets the filter"),
    "do_center_crop": (False, f"{_VIEWS}; `crop_strategy`, `fov_deg` and `num_views` set what it shows"),
    "crop_size": (None, f"{_VIEWS}; pass size"),
    "do_pad": (False, "all views have the same size"),
    "pad_size": (None, "all views have the same size"),
    "data_format": ("channels_first", "the vision tower needs [3, h, w]"),
    "input_data_format": (None, "arrays are [H, W, 3] and tensors [3, H, W]"),
    "image_seq_length": (None, "the number of image tokens follows from token_grid and the views"),
}


def check_fixed_settings(settings: Mapping[str, Any]) -> None:
    """Refuse values of the usual settings that cannot apply to panoramas; None always means the default.

    Raises:
        ValueError: A setting has another value than the one that applies.

    Example:
        >>> check_fixed_settings({"do_resize": True, "do_center_crop": None})
        >>> check_fixed_settings({"do_resize": False})
        Traceback (most recent call last):
        ValueError: do_resize=False does not apply to panoramas: every view is cut from the panorama at `size`; ...
    """
    for name, (only, reason) in FIXED.items():
        value = settings.get(name)
        if value is None or (only is not None and getattr(value, "value", value) == getattr(only, "value", only)):
            continue
        remedy = "leave it out" if only is None else f"leave it out or pass {getattr(only, 'value', only)!r}"
        raise ValueError(f"{name}={shown(value)} does not apply to panoramas: {reason}; {remedy}")


def is_float(image: Any) -> bool:
    """Whether an image is an array or tensor of floating-point numbers."""
    if isinstance(image, Tensor):
        return image.is_floating_point()
    return isinstance(image, np.ndarray) and image.dtype.kind == "f"


def require_rgb(image: Any) -> None:
    """Refuse a Pillow image, array or tensor without three channels (`do_convert_rgb=False`); files are decoded as RGB.

    Raises:
        PanoramaError: It has one, two or four channels.

    Example:
        >>> require_rgb(Image.new("RGBA", (16, 8)))
        Traceback (most recent call last):
        panollava_geometry...PanoramaError: do_convert_rgb=False, and the image has 4 channels, but ...
    """
    if isinstance(image, Image.Image):
        channels = len(image.getbands()) if image.mode != "P" else 1
    elif isinstance(image, (Tensor, np.ndarray)) and image.ndim in (2, 3):
        at = 0 if isinstance(image, Tensor) else -1
        channels = image.shape[at] if image.ndim == 3 else 1
    else:
        return
    if channels != 3:
        raise PanoramaError(
            f"do_convert_rgb=False, and the image has {channels} channel{'s' * (channels != 1)}, but the vision tower "
            "needs 3; pass do_convert_rgb=True or an RGB image"
        )


def float_panorama(image: Any, *, rescaled: bool) -> Tensor:
    """A float image as a panorama `[3, H, 2H]`.

    Args:
        image: Array `[H, 2H]` or `[H, 2H, 1 | 3]`, or tensor `[1 | 3, H, 2H]`.
        rescaled: Whether its values are divided by 255 later: then they must be in [0, 255] and become uint8. Otherwise
            they stay as they are, as float32.

    Raises:
        PanoramaError: The shape or the range is another one, or a value is not finite.
    """
    if isinstance(image, Tensor):
        pixels = image.float()
    else:
        array = image[..., None] if image.ndim == 2 else image
        pixels = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        pixels = pixels.permute(2, 0, 1) if pixels.ndim == 3 else pixels
    if (
        pixels.ndim != 3
        or pixels.shape[0] not in (1, 3)
        or pixels.shape[2] != 2 * pixels.shape[1]
        or not len(pixels[0])
    ):
        raise PanoramaError(
            f"a float panorama must be an array [H, 2H, 3] or a tensor [3, H, 2H], got {shown(tuple(image.shape))}"
        )
    pixels = pixels.expand(3, -1, -1)
    low, high = pixels.aminmax()
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise PanoramaError("the float image has values that are not finite (NaN or infinity); replace them")
    if not rescaled:
        return pixels
    if not (low >= 0 and (1 < high <= 255 or high == 0)):  # black is black in both ranges
        raise PanoramaError(
            f"the float image has values in [{low:.4g}, {high:.4g}], but rescaling expects [0, 255]; pass "
            "do_rescale=False for values in [0, 1], or a uint8 image"
        )
    return pixels.round().to(torch.uint8)


def one_colour(image: Any) -> Any:
    """A Pillow image of one colour that is not 2:1, as the smallest panorama of that colour; all else unchanged.

    Serving engines such as vLLM measure memory with square images of one colour, up to 10000 by 10000 pixels. All views
    of such a panorama are the same at every size.

    Example:
        >>> one_colour(Image.new("RGB", (50, 50), 255)).size
        (16, 8)
    """
    if not isinstance(image, Image.Image) or image.width == 2 * image.height or not image.width * image.height:
        return image
    extrema = image.getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    if any(low != high for low, high in bands):
        return image
    return image.crop((0, 0, 1, 1)).resize((16, 8))
