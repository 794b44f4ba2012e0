"""`panorama_messages`: a question about a panorama as chat messages for any vision-language model.

Models know the world but not the frame of a panorama: which image looks where. Here each view gets its direction, in a
text before it, in a strip burnt into the image, or both. Nothing here loads a model or needs the network.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

from panollava_geometry import PerspectiveView, ViewPlan, load_views
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from panollava_hf.asking._chat import Message
from panollava_hf.asking._directions import label
from panollava_hf.asking._families import Labels

#: The ring from left to right, then up and down. 100° per view, so that neighbours overlap by 10°.
LOOK_AROUND = ViewPlan(
    PerspectiveView(yaw, pitch, hfov_deg=100.0)
    for yaw, pitch in ((-90.0, 0.0), (0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (0.0, 90.0), (0.0, -90.0))
)
FRAME_SENTENCE = (
    "The {count} images below are perspective views of one 360° panorama, taken from one point in one moment. "
    "Each is labelled with the direction it looks in. Ahead is the centre of the panorama (yaw 0°), yaw grows to the "
    "right, behind is yaw 180°, and pitch grows upwards. Neighbouring views overlap, so an object can be in two."
)
#: Largest side of an image that hosted models do not shrink, in pixels.
MAX_SIDE = 1024
_QUALITY = 90


def panorama_messages(
    panorama: Any,
    question: str,
    *,
    plan: ViewPlan = LOOK_AROUND,
    size: int | tuple[int, int] = 448,
    labels: Labels = "text",
    frame_sentence: str = FRAME_SENTENCE,
    system: str | None = None,
) -> list[Message]:
    """Chat messages that show a panorama as labelled views and then ask a question.

    Args:
        panorama: What `panollava_geometry.load_views` takes: path, URL, bytes, Pillow image, array or tensor.
        question: The question, which comes last.
        plan: The views, in the order in which they are shown.
        size: Height and width of a view in pixels, at most 1024.
        labels: Where the direction of a view is written: in a text before it, in a strip in the image, or in both.
            Servers and models whose chat template moves all images to the front need "burnt-in" or "both".
        frame_sentence: First text of the message; `{count}` is replaced by the number of views.
        system: A system prompt; None adds none.

    Returns:
        Messages in OpenAI's form, whose images are JPEG data URLs. `apply_chat_template` of transformers 5, OpenAI
        clients and vLLM's `LLM.chat` take them.

    Raises:
        PanoramaError: The panorama cannot be read.
        ValueError: The question is empty, `size` is too large, or `labels` is unknown.

    Example:
        >>> import numpy as np
        >>> messages = panorama_messages(np.zeros((64, 128, 3), np.uint8), "What is behind me?", size=64)
        >>> [part["type"] for part in messages[0]["content"]][:3]
        ['text', 'text', 'image_url']
        >>> messages[0]["content"][1]["text"]
        'Image 1: left (yaw -90°, pitch 0°)'
    """
    height, width = (size, size) if isinstance(size, int) else size
    if not 1 <= min(height, width) <= max(height, width) <= MAX_SIDE:
        raise ValueError(f"size must be between 1 and {MAX_SIDE} pixels a side, got {size}")
    return view_messages(
        load_views(panorama, plan, (height, width)),
        [label(view) for view in plan],
        question,
        labels=labels,
        frame_sentence=frame_sentence,
        system=system,
    )


def view_messages(
    views: Tensor,
    names: Sequence[str],
    question: str,
    *,
    labels: Labels = "text",
    frame_sentence: str = FRAME_SENTENCE,
    system: str | None = None,
) -> list[Message]:
    """Chat messages of views that are already cut.

    Args:
        views: `[V, 3, h, w]` uint8.
        names: The label of each view.
        question: The question.
        labels: As in `panorama_messages`.
        frame_sentence: As in `panorama_messages`; "" leaves it out.
        system: As in `panorama_messages`.

    Raises:
        ValueError: The question is empty, or views and names differ in number.
    """
    if not question.strip():
        raise ValueError("the question is empty; write what you want to know")
    if labels not in ("text", "burnt-in", "both"):
        raise ValueError(f"labels must be text, burnt-in or both, got {labels!r}")
    content: list[dict[str, Any]] = []
    if frame_sentence:
        content.append(_text(frame_sentence.replace("{count}", str(len(views)))))
    for number, (view, name) in enumerate(zip(views, names, strict=True), 1):
        title = f"Image {number}: {name}"
        image = to_image(view)
        if labels != "burnt-in":
            content.append(_text(title))
        content.append(_image(image if labels == "text" else with_strip(image, title)))
    content.append(_text(question))
    start = [] if system is None else [{"role": "system", "content": [_text(system)]}]
    return [*start, {"role": "user", "content": content}]


def to_image(view: Tensor) -> Image.Image:
    """A view `[3, h, w]` uint8 as a Pillow image."""
    return Image.fromarray(view.permute(1, 2, 0).contiguous().cpu().numpy())


def with_strip(image: Image.Image, title: str) -> Image.Image:
    """The image with a title in a black strip over its upper edge; the size stays."""
    height = max(12, round(image.height / 16))
    font = ImageFont.load_default(size=height * 0.7)
    drawn = image.copy()
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, image.width, height), fill="black")
    shrink = min(1.0, (image.width - 8) / max(font.getlength(title), 1))
    draw.text(
        (4, height / 2), title, fill="white", font=ImageFont.load_default(size=height * 0.7 * shrink), anchor="lm"
    )
    return drawn


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(image: Image.Image) -> dict[str, Any]:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    url = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return {"type": "image_url", "image_url": {"url": url}}
