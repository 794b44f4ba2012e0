"""`panorama_messages`: a question about a panorama as chat messages for any vision-language model.

Models know the world but not the frame of a panorama: which image looks where. Here each view gets its direction, in a
text before it, in a strip burnt into the image, or both. Nothing here loads a model or needs the network.
"""

from collections.abc import Sequence
from typing import Any, get_args

from panollava_geometry import (
    CylindricalView,
    EquirectangularView,
    FisheyeView,
    PerspectiveView,
    StereographicView,
    ViewPlan,
    load_views,
)
from PIL import Image
from torch import Tensor

from panollava_hf._errors import TextError, ViewSettingError
from panollava_hf._shown import shown
from panollava_hf.asking._chat import Message
from panollava_hf.asking._data_url import to_data_url
from panollava_hf.asking._directions import label
from panollava_hf.asking._families import Labels
from panollava_hf.asking._frame import LOOK_AROUND, frame_sentence
from panollava_hf.asking._strip import with_strip

#: Largest side of an image that hosted models do not shrink, and smallest side that is useful, in pixels.
MAX_SIDE, MIN_SIDE = 1024, 16

View = PerspectiveView | EquirectangularView | FisheyeView | CylindricalView | StereographicView
Views = ViewPlan | Sequence[View] | View
_frame = frame_sentence  # `frame_sentence` is also the name of a public argument


def panorama_messages(
    panorama: Any,
    question: str,
    *,
    plan: Views = LOOK_AROUND,
    size: int | tuple[int, int] = 448,
    labels: Labels = "text",
    frame_sentence: str | None = None,
    system: str | None = None,
) -> list[Message]:
    """Chat messages that show a panorama as labelled views and then ask a question.

    Args:
        panorama: What `panollava_geometry.load_views` takes: path, URL, bytes, Pillow image, array or tensor.
        question: The question, which comes last.
        plan: The views, in the order in which they are shown; default: left, ahead, right, behind, above, below.
        size: Height and width of a view in pixels, from 16 to 1024.
        labels: Where the direction of a view is written: in a text before it ("text"), in a strip in the image
            ("burnt-in"), or in "both". Servers and models whose chat template moves all images to the front need
            "burnt-in" or "both".
        frame_sentence: First text of the message, in which `{count}` is replaced by the number of views. None is a
            sentence that fits the plan, "" leaves it out.
        system: A system prompt; None adds none.

    Returns:
        Messages in OpenAI's form, whose images are JPEG data URLs. `apply_chat_template` of transformers 5, OpenAI
        clients and vLLM's `LLM.chat` take them as they are.

    Raises:
        PanoramaError: The panorama cannot be read, or the plan has no views.
        TextError: The question is empty or not valid Unicode. It is a ValueError.
        ViewSettingError: `plan`, `size` or `labels` cannot be used. It is a ValueError.

    Example:
        >>> from panollava_hf import panorama_messages
        >>> import numpy as np
        >>> messages = panorama_messages(np.zeros((64, 128, 3), np.uint8), "What is behind me?", size=64)
        >>> [part["type"] for part in messages[0]["content"]][:3]
        ['text', 'text', 'image_url']
        >>> messages[0]["content"][1]["text"]
        'Image 1: left (yaw -90°, pitch 0°)'
    """
    check_question(question)
    check_labels(labels)
    views, sides = check_plan(plan), check_size(size)
    return view_messages(
        load_views(panorama, views, sides),
        [label(view) for view in views],
        question,
        labels=labels,
        frame_sentence=_frame(views) if frame_sentence is None else frame_sentence.replace("{count}", str(len(views))),
        system=system,
    )


def view_messages(
    views: Tensor,
    names: Sequence[str],
    question: str,
    *,
    labels: Labels = "text",
    frame_sentence: str = "",
    system: str | None = None,
) -> list[Message]:
    """Chat messages of views that are already cut.

    Args:
        views: `[V, 3, h, w]` uint8.
        names: The label of each view.
        question: The question.
        labels: As in `panorama_messages`.
        frame_sentence: First text of the message; "" leaves it out.
        system: As in `panorama_messages`.

    Raises:
        TextError: The question is empty or not valid Unicode. It is a ValueError.
        ViewSettingError: `labels` is unknown. It is a ValueError.
        ValueError: Views and names differ in number.
    """
    check_question(question)
    check_labels(labels)
    if len(views) != len(names):
        raise ValueError(f"expected a name for each of {len(views)} views, got {len(names)}")
    content: list[dict[str, Any]] = []
    if frame_sentence:
        content.append(_text(frame_sentence))
    for number, (view, name) in enumerate(zip(views, names, strict=True), 1):
        title = f"Image {number}: {name}"
        image = to_image(view)
        if labels != "burnt-in":
            content.append(_text(title))
        content.append(_image(image if labels == "text" else with_strip(image, number, name)))
    content.append(_text(question))
    start = [] if system is None else [{"role": "system", "content": [_text(system)]}]
    return [*start, {"role": "user", "content": content}]


def to_image(view: Tensor) -> Image.Image:
    """A view `[3, h, w]` uint8 as a Pillow image."""
    return Image.fromarray(view.permute(1, 2, 0).contiguous().cpu().numpy())


def check_question(question: object) -> None:
    """Check a question before anything is computed for it.

    Raises:
        TextError: It is not a text, empty, or not valid Unicode.
    """
    if not isinstance(question, str):
        raise TextError(f"expected a question as a text, got {type(question).__name__}; pass a str")
    if not question.strip():
        raise TextError("the question is empty; write what you want to know")
    place = next((place for place, char in enumerate(question) if "\ud800" <= char <= "\udfff"), None)
    if place is not None:
        raise TextError(
            f"the question has {question[place]!r}, half of a surrogate pair, at character {place}; remove it"
        )


def check_labels(labels: object) -> None:
    """Check where labels are written.

    Raises:
        ViewSettingError: There is no such place.
    """
    if labels not in get_args(Labels):
        raise ViewSettingError(f"labels must be one of {', '.join(get_args(Labels))}, got {shown(labels)}")


def check_plan(plan: Any) -> ViewPlan:
    """The plan of an argument that may also be a single view or a list of views.

    Raises:
        PanoramaError: It has no views.
        ViewSettingError: It is something else.
    """
    if isinstance(plan, ViewPlan):
        return plan
    if isinstance(plan, View):
        return ViewPlan([plan])
    if not isinstance(plan, list | tuple):
        raise ViewSettingError(f"plan must be a ViewPlan, a view or a list of views, got {shown(plan)}")
    return ViewPlan(plan)


def check_size(size: Any) -> tuple[int, int]:
    """Height and width of a view.

    Raises:
        ViewSettingError: They are not whole numbers of pixels from 16 to 1024.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or not all(type(side) is int and MIN_SIDE <= side <= MAX_SIDE for side in sides):
        raise ViewSettingError(
            f"size must be a number of pixels from {MIN_SIDE} to {MAX_SIDE}, or (height, width), got {shown(size)}; "
            "models and servers shrink larger images, so use narrower views instead"
        )
    return sides[0], sides[1]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(image: Image.Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": to_data_url(image)}}
