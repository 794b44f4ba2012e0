"""Convert pixels to sRGB through the ICC profile that is embedded in an image."""

import functools
import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from panollava_geometry._errors import PanoramaWarning, one_line, short

if TYPE_CHECKING:
    from PIL import ImageCms

_MAX_PROFILE = 16 * 2**20
#: A profile that changes no colour by more levels than this is sRGB, and the pixels stay as they are.
_SAME = 3
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def to_srgb(image: Image.Image, profile: object, name: str) -> Image.Image | None:
    """Convert an image without transparency to sRGB.

    The profile's description is not trusted: what the profile does to a few colours decides whether it is sRGB.

    Args:
        image: The image.
        profile: Its ICC profile, as Pillow gives it (bytes, or nothing).
        name: Name of the image in warnings.

    Returns:
        The RGB image. None if there is no profile, the profile is sRGB, or it cannot be used (then with a
        `PanoramaWarning`).
    """
    if not profile:
        return None
    try:
        if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE:
            raise ValueError("not an ICC profile")
        mode, transform = _transform(profile)
        if transform is None:
            return None
        return transform.apply(_in_mode(image, mode))
    except Exception as error:  # a damaged profile must not prevent reading; Pillow raises many kinds
        warnings.warn(
            PanoramaWarning(
                f"{name}: its colour profile cannot be used ({one_line(error)}); the colours are read as sRGB"
            ),
            stacklevel=2,
        )
        return None


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if mode == "CMYK" or image.mode == "CMYK":
        raise ValueError(f"a profile of {mode} in an image of {image.mode}")
    if mode == "L" and image.mode != "1":
        raise ValueError(f"a profile of grey levels in an image of {image.mode}")
    return image.convert(mode)


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes) -> "tuple[str, ImageCms.ImageCmsTransform | None]":
    """The mode that a profile is for, and its transform to sRGB; None in place of the transform if it is sRGB."""
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = _MODES[source.profile.xcolor_space.strip()]
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if mode == "CMYK":
        return mode, transform
    probe = _probe(mode)
    changed = np.asarray(transform.apply(probe)).astype(int) - np.asarray(probe.convert("RGB"))
    return mode, transform if np.abs(changed).max() > _SAME else None


def _probe(mode: str) -> Image.Image:
    """All grey levels, or a grid of colours."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    return Image.fromarray(np.ascontiguousarray(grid))


def profile_name(profile: object) -> str | None:
    """The description of an ICC profile, as one short line; None if there is no profile."""
    if not profile:
        return None
    from PIL import ImageCms

    try:
        if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE:
            raise ValueError("not an ICC profile")
        text = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except Exception as error:  # as above: a damaged profile must not prevent reading
        return f"cannot be read ({one_line(error)})"
    return short(" ".join(text.split())).strip("'\"")
