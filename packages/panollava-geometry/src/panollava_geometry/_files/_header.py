"""`panorama_size`: whether a file can be loaded as a panorama, found from its header."""

from panollava_geometry._errors import PanoramaError, boundary
from panollava_geometry._files._decoding import sphere_size
from panollava_geometry._sources._source import FileSource, open_image, source_name

#: Formats whose metadata is before the pixels, or found without decoding them.
_COMPLETE_HEADERS = ("JPEG", "MPO", "WEBP")


def panorama_size(source: FileSource) -> tuple[int, int]:
    """Width and height of the panorama that `load_equirectangular` makes of a file, from its header.

    Pixels are decoded only where the metadata may stand behind them: for a file that is not 2:1 and neither JPEG nor
    WebP. So damaged pixels are usually not noticed.

    Args:
        source: Path, http(s) URL, bytes or binary file object.

    Returns:
        Width and height of the full sphere in pixels. For an image with GPano metadata that shows a part of the sphere,
        this is more than the image has.

    Raises:
        PanoramaError: The file is missing, is not an image, is too large, or is not a panorama.

    Warns:
        PanoramaWarning: Its metadata cannot be used.

    Example:
        >>> from panollava_geometry.files import panorama_size
        >>> import io
        >>> from PIL import Image
        >>> Image.new("RGB", (128, 64)).save(file := io.BytesIO(), "PNG")
        >>> panorama_size(file.getvalue())
        (128, 64)
    """
    name = source_name(source)
    with open_image(source, name) as image:
        # Pillow turns a TIFF by its EXIF orientation when it decodes it.
        turned = hasattr(image, "tag_v2") and image.tag_v2.get(274, 1) != 1
        if not turned:
            try:
                return sphere_size(image, name)
            except PanoramaError:
                if image.format in _COMPLETE_HEADERS:
                    raise
        with boundary(f"{name}: the image cannot be decoded", "the file is damaged or incomplete"):
            image.load()
        return sphere_size(image, name, image.tag_v2.get(274, 1) if hasattr(image, "tag_v2") else 1)
