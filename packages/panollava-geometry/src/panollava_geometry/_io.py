"""Files, URLs, bytes, pictures and arrays to panoramas."""

import io
import os
import urllib.error
import urllib.request

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from panollava_geometry._errors import PanoramaError
from panollava_geometry._extract import extract_views
from panollava_geometry._plan import ViewPlan

Source = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Tensor


def load_equirectangular(source: Source, *, max_width: int | None = None) -> UInt8[Tensor, "3 height width"]:
    """Load a panorama as uint8 [3, H, 2H]."""
    name = str(source) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__} given"
    if isinstance(source, Tensor):
        return source
    if isinstance(source, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(source, -1, 0)))
    try:
        if isinstance(source, Image.Image):
            image = source
        elif isinstance(source, bytes):
            image = Image.open(io.BytesIO(source))
        elif isinstance(source, str) and source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=30) as answer:
                image = Image.open(io.BytesIO(answer.read()))
        else:
            image = Image.open(source)
        image = ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError as error:
        raise PanoramaError(f"{name}: no such file; check the path") from error
    except UnidentifiedImageError as error:
        raise PanoramaError(f"{name}: this is no picture Pillow can read; use JPEG, PNG or TIFF") from error
    except (OSError, urllib.error.URLError) as error:
        raise PanoramaError(f"{name}: cannot be read ({error}); check that it is whole") from error
    width, height = image.size
    if width != 2 * height:
        raise PanoramaError(
            f"{name}: {width}x{height} is no equirectangular panorama; it must be twice as wide as high"
        )
    if max_width is not None and width > max_width:
        image = image.resize((max_width, max_width // 2), Image.Resampling.BOX)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def load_views(source: Source, plan: ViewPlan, size: int | tuple[int, int]) -> UInt8[Tensor, "views 3 height width"]:
    """Load a panorama no finer than the plan needs and extract its views, uint8 [V, 3, h, w]."""
    return extract_views(load_equirectangular(source), plan, size)
