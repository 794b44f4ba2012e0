"""A panorama as a part of a request, for a server whose model reads panoramas itself."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from panollava_hf.asking._chat import Message, parts_of
from panollava_hf.asking._panorama import Panorama

_KEY = "data_url"


def as_sent(messages: Sequence[Message]) -> list[Message]:
    """Messages whose panoramas are images. Without panoramas they stay as they are."""
    if not any(part["type"] == "panorama" for message in messages for part in parts_of(message)):
        return list(messages)
    return [message | {"content": [_sent(part) for part in parts_of(message)]} for message in messages]


def _sent(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] != "panorama":
        return part
    return {"type": "image_url", "image_url": {"url": data_url(part["panorama"])}}


def data_url(panorama: Panorama) -> str:
    """A panorama as a PNG data URL: every pixel arrives as it is, so that the answer is that of a local model."""
    if _KEY not in panorama.memo:
        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(panorama.image.permute(1, 2, 0).cpu().numpy()).save(stream, "PNG", compress_level=1)
        panorama.memo[_KEY] = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return str(panorama.memo[_KEY])
