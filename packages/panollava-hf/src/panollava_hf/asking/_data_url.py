"""Images inside of chat messages: JPEG data URLs, written and read."""

import base64
import io

from PIL import Image

from panollava_hf._errors import ChatError, boundary

_QUALITY = 90
_UNREADABLE = "an image of a prompt cannot be read", "pass a JPEG or PNG image as data URL"


def to_data_url(image: Image.Image) -> str:
    """An image as a JPEG data URL."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def from_data_url(url: str) -> Image.Image:
    """The RGB image in a data URL.

    Raises:
        ChatError: It is another kind of URL, or the image cannot be read.

    Example:
        >>> from_data_url(to_data_url(Image.new("RGB", (4, 2)))).size
        (4, 2)
    """
    with boundary(ChatError, *_UNREADABLE):
        return _opened(url).convert("RGB")


def size_in_data_url(url: str) -> tuple[int, int]:
    """Width and height of the image in a data URL, from its header alone.

    Raises:
        ChatError: It is another kind of URL, or the header cannot be read.
    """
    with boundary(ChatError, *_UNREADABLE):
        return _opened(url).size


def _opened(url: str) -> Image.Image:
    if not url.startswith("data:"):  # nothing is fetched from here, and an address may hold a key
        raise ChatError(f"an image of a prompt is not a data URL, got {url.partition(':')[0][:20]!r}")
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
