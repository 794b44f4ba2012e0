"""Checks and conversions of panorama tensors."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from panollava_geometry._errors import PanoramaError


def check_panorama(erp: Tensor) -> None:
    """Check that a tensor has the shape of full panoramas, `[..., C, H, 2H]`.

    Raises:
        PanoramaError: It does not.
    """
    if erp.ndim < 3:
        raise PanoramaError(f"a panorama must be [..., channels, height, width], got shape {tuple(erp.shape)}")
    height, width = erp.shape[-2:]
    if height < 1 or width != 2 * height:
        hint = " (channels must come first: permute(2, 0, 1))" if width in (1, 3, 4) else ""
        raise PanoramaError(f"a full panorama must be twice as wide as high, got {width}x{height}{hint}")


def cast_like(values: Shaped[Tensor, "..."], reference: Tensor) -> Shaped[Tensor, "..."]:
    """Convert computed values to the dtype of `reference`. For uint8 they are rounded and clamped to 0..255."""
    if reference.dtype == torch.uint8:
        return values.round().clamp(0, 255).to(torch.uint8)
    return values.to(reference.dtype)
