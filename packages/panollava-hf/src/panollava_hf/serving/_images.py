"""The images of a request: data URLs of bounded size. No address is opened for a client."""

import base64
import binascii
from typing import Any

from panollava_hf._shown import shown
from panollava_hf.serving._settings import RequestError

_HOW = "send the image itself as a data URL, data:image/jpeg;base64,…"


def image_bytes(address: Any, most: int) -> bytes:
    r"""The image file in a data URL.

    Args:
        address: The value of `image_url.url` in a request.
        most: Largest file in bytes.

    Raises:
        RequestError: It is another address, damaged, or too large. The message shows no part of an address.

    Example:
        >>> image_bytes("data:image/png;base64,iVBORw==", 100)
        b'\x89PNG'
    """
    if not isinstance(address, str):
        raise RequestError(f"image_url must be an object with the text 'url', got {shown(address)}; {_HOW}")
    scheme, colon, rest = address.partition(":")
    if scheme.lower() != "data" or not colon:
        kind = shown(scheme) if colon and len(scheme) <= 20 and scheme.isalnum() else "no scheme"
        raise RequestError(f"this server opens no addresses of images, got one with {kind}; {_HOW}")
    head, comma, data = rest.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise RequestError(f"an image is not in base64; {_HOW}")
    if head and not head.lower().startswith("image/"):
        raise RequestError(f"an image has the media type {shown(head.partition(';')[0])}; expected image/…")
    if len(data) * 3 // 4 > most + 3:
        size = len(data) * 3 / 4 / 2**20
        raise RequestError(f"an image has {size:.1f} MB, this server reads up to {most / 2**20:g} MB; reduce it", 413)
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"the base64 text of an image is damaged ({error}); {_HOW}") from error
    if not found:
        raise RequestError(f"an image is empty (0 bytes); {_HOW}")
    return found
