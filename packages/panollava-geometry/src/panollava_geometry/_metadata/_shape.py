"""Which image sizes are full panoramas, and what to do with the others."""

from panollava_geometry._errors import PanoramaError

Extent = tuple[int, int]


def is_full_sphere(size: Extent) -> bool:
    """Whether an image of `size` (width, height) is twice as wide as high, to 0.5 % or 2 pixels.

    Of images narrower than 16 pixels, 2 pixels are a large part: the tolerance is at most an eighth of the width.
    """
    width, height = size
    return width >= 2 and height >= 1 and abs(width - 2 * height) <= min(max(2, 0.005 * width), width / 8)


def stereo_halves(size: Extent) -> str | None:
    """How the two panoramas of a stereo image of `size` are arranged: "top-bottom", "side-by-side", or None."""
    width, height = size
    if is_full_sphere((width, height // 2)):
        return "top-bottom"
    return "side-by-side" if is_full_sphere((width // 2, height)) else None


def not_full_sphere(name: str, size: Extent, remark: str = "") -> PanoramaError:
    """The error for an image that is not a full panorama, with what to do.

    Args:
        name: Name of the image.
        size: Width and height.
        remark: What else is known about the image.
    """
    width, height = size
    if width < 2 or height < 1:
        return PanoramaError(f"{name}: {width}x{height} pixels are not a panorama; pass an image that is 2:1")
    advice = "a partial panorama needs GPano metadata, hfov_deg (--hfov DEGREES) or partial=True (--partial)"
    stereo = stereo_halves(size)
    if stereo == "top-bottom":
        advice = (
            "a square image is either stereo, one 2:1 panorama above the other (then pass eye='left' (--eye left)), or "
            f"not a full panorama; {advice}"
        )
    elif stereo == "side-by-side":
        advice = (
            "a 4:1 image is either stereo, two 2:1 panoramas side by side (then pass eye='left' (--eye left)), or a "
            f"part of a panorama; {advice}"
        )
    return PanoramaError(
        f"{name}: {width}x{height} is not a full equirectangular panorama, which is twice as wide as high"
        f"{remark and f' ({remark})'}; {advice}"
    )
