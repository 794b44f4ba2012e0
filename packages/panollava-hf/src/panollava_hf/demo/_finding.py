"""Where something is on a panorama: boxes where the model writes them, else its answers about turned panoramas."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from panollava_geometry import load_equirectangular

from panollava_hf._errors import ChatError, PanoLLaVaError
from panollava_hf._shown import shortened
from panollava_hf.asking import Answerer
from panollava_hf.demo._named_directions import named_directions
from panollava_hf.demo._objects import named_objects
from panollava_hf.demo._spots import HotSpot, object_spot, region_spots
from panollava_hf.demo._stoppable import StoppableChat

if TYPE_CHECKING:
    from torch import Tensor

    from panollava_hf.asking import Answer

#: How often the panorama is turned, and its width for that.
TURNS, _WIDTH = 16, 1024
#: Share of the answers that one direction must explain.
_AGREEMENT = 0.6
_SECTOR_DEG = 45.0


def find(answerer: Answerer, chat: StoppableChat, image: "Tensor", what: str) -> list[HotSpot]:
    """Find something on a panorama.

    Args:
        answerer: The model.
        chat: What speaks with it, which can be stopped.
        image: The panorama, `[3, H, 2H]` uint8.
        what: What to find.

    Returns:
        One hot spot for each; empty if nothing was found.

    Raises:
        ChatError: The model did not answer.
        PanoLLaVaError: A model without boxes does not place it in one direction, or does not know a word or the image.
    """
    family = answerer.chat.family
    if not family.reads_panoramas and family.box_format is not None:
        look = answerer.look
        asked = Answerer(chat, view_size=look.size[0], labels=look.labels, system=look.system)
        return list(region_spots(asked.locate(image, what).regions))
    asked = Answerer(chat)
    name = what.strip().rstrip("?.")
    question = f"Where is {name}?" if name.lower().startswith(("the ", "a ", "an ")) else f"Where is the {name}?"
    objects = named_objects(question, "")
    if len(objects) == 1:
        reply = asked.answer(image, f"Where is the {objects[0].name}?", max_new_tokens=16)
        _check_known(reply)
        places = named_directions(reply.text)
        if places:
            spot = object_spot(objects[0], places[0], image, lambda names, by: where_is(asked, image, image, names, by))
            if spot.kind == "object":
                return [spot]
    chat.control.check()
    return [_by_turning(asked, image, question, name)]


def where_is(
    answerer: Answerer, image: "Tensor", prepared: Any, names: Sequence[str], turns: Sequence[float]
) -> list[str]:
    """What a model says about where objects are, each on the panorama turned to the right by some degrees.

    Args:
        answerer: The model.
        image: The panorama, `[3, H, 2H]` uint8.
        prepared: What the answerer made of it, for questions about the panorama as it is.
        names: The objects.
        turns: Degrees.
    """
    width = image.shape[-1]
    panoramas: dict[int, Any] = {}
    shifts = [round(turn % 360 / 360 * width) % width for turn in turns]
    for shift in shifts:
        panoramas.setdefault(shift, torch.roll(image, shift, -1) if shift else prepared)
    order = list(panoramas)
    questions = [f"Where is the {name}?" for name in names]
    found = answerer.answer_all(
        list(panoramas.values()), questions, [order.index(shift) for shift in shifts], max_new_tokens=12
    )
    return ["" if isinstance(reply, ChatError) or reply.unknown else reply.text for reply in found]


def _check_known(answer: "Answer") -> None:
    """Check that an answer is not a guess.

    Raises:
        PanoLLaVaError: It is one.
    """
    if answer.unknown:
        raise PanoLLaVaError(answer.unknown)


def _by_turning(asked: Answerer, image: "Tensor", question: str, name: str) -> HotSpot:
    """The yaw that best explains the directions that the model names when the panorama is turned.

    A direction in words is a sector of 45°. Turning the panorama moves the borders of the sectors across the object,
    and 16 turns show where each border lies to a few degrees.
    """
    small = load_equirectangular(image, max_width=_WIDTH)
    width = small.shape[-1]
    # Steps that are not a multiple of a sector, so that each turn moves the borders to another place.
    turns = [round(width * (step / TURNS + step * _SECTOR_DEG / 360 / TURNS)) % width for step in range(TURNS)]
    replies = asked.answer_all(
        [torch.roll(small, turn, -1) for turn in turns], [question] * TURNS, list(range(TURNS)), max_new_tokens=16
    )
    found: list[tuple[float, float, float]] = []
    for turn, reply in zip(turns, replies, strict=True):
        if isinstance(reply, ChatError):
            raise reply
        _check_known(reply)
        places = named_directions(reply.text)
        if len(places) == 1:
            found.append((360 * turn / width, places[0].yaw_deg, places[0].pitch_deg))
    upright = [pitch for _, _, pitch in found if abs(pitch) > 45]
    if len(upright) > _AGREEMENT * TURNS:
        return HotSpot(name, 0.0, float(np.sign(sum(upright))) * 75.0, "direction", "the model says: above or below")
    yaws = np.arange(-180.0, 180.0, 0.5)
    agree = np.zeros(len(yaws))
    for turned, yaw, pitch in found:
        if abs(pitch) <= 45:
            agree += np.abs((yaws + turned - yaw + 180) % 360 - 180) <= _SECTOR_DEG / 2
    if agree.max() < _AGREEMENT * TURNS:
        raise PanoLLaVaError(
            f"the model does not place {shortened(name, 60)!r} in one direction: {int(agree.max())} of {TURNS} answers "
            "about the turned panorama agree; ask for something else, or use a model that writes boxes"
        )
    best = np.deg2rad(yaws[agree == agree.max()])
    yaw = float(np.degrees(np.arctan2(np.sin(best).sum(), np.cos(best).sum())))
    how = f"{int(agree.max())} of {TURNS} answers about the turned panorama agree"
    return HotSpot(name, yaw, 0.0, "direction", how)
