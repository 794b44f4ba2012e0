"""A model that answers only from what it is shown, and a folder of panoramas that it can be asked about.

Each panorama is grey with a red patch at the horizon. The stand-in looks for red in the views, reads from their labels
where they look, and says in which of eight directions the patch is. Nothing here uses the renderer of PanoShapes.
"""

import base64
import dataclasses
import io
import itertools
import json
import math
import re

import numpy as np
from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import ChatDefaults, Reply
from panollava_hf.asking._families import Family
from panollava_hf.panoshapes import read_scenes
from PIL import Image

RING = ("front", "front right", "right", "back right", "back", "back left", "left", "front left")
_LABEL = re.compile(r"yaw ([+-]?\d+)°, pitch ([+-]?\d+)°")
_HFOV_DEG = 100.0


class StandIn(ChatDefaults):
    """A `Chat` of its own kind.

    Args:
        fails: Called with the question of a final request; returns why the model fails, or None.
        strategy: Default strategy of its family.
        reply: Answers a question from the direction of the patch; default: names the direction.
    """

    name, device, dtype, trained = "stand-in", "https://models.example.org/v1", "unknown", True
    batch_size = 3

    def __init__(self, *, fails=lambda question: None, strategy="views", answer=lambda question, direction: direction):
        self.family = Family("stand_in", strategy=strategy)
        self.fails, self.answer = fails, answer
        self.requests, self.calls = [], 0

    def reply(self, requests, *, on_text=None):
        self.calls += 1
        self.requests += requests
        return [self._one(request) for request in requests]

    def fingerprint(self):
        return "stand-in 1"

    @property
    def asked(self):
        """The questions of the final requests, as they were sent."""
        return [request.messages[-1]["content"][-1]["text"] for request in self.requests if request.final]

    def _one(self, request):
        content = request.messages[-1]["content"]
        question = content[-1]["text"]
        reason = self.fails(question) if request.final else None
        if reason is not None:
            return ChatError(reason)
        yaw = seen(content)
        if not request.final:
            return Reply("nothing" if yaw is None else f"red at {yaw:.0f} degrees", 1, 1, 1)
        direction = None if yaw is None else RING[round(yaw / 45) % 8]
        return Reply(self.answer(question, direction or "nowhere"), 1, 1, 1, reasoning="front, or left")


def seen(content):
    """Yaw of the red patch, from images with labels or from descriptions; None if there is none."""
    yaws, sizes = [], []
    for before, part in itertools.pairwise(content):
        if part["type"] == "image_url" and (label := _LABEL.search(before["text"])) is not None and label[2] == "0":
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))))
            red = (pixels[..., 0].astype(int) - pixels[..., 1]) > 100
            if red.any():
                column = np.nonzero(red)[1].mean() + 0.5 - pixels.shape[1] / 2
                focal = pixels.shape[1] / 2 / math.tan(math.radians(_HFOV_DEG / 2))
                yaws.append(int(label[1]) + math.degrees(math.atan2(column, focal)))
                sizes.append(red.sum())
    described = re.findall(r"red at (-?\d+) degrees", content[0]["text"])
    if described:
        return float(described[0])
    return yaws[int(np.argmax(sizes))] if yaws else None


def write_folder(folder, shapes, count=8):
    """A folder of PanoShapes whose panoramas have one red patch each, in another direction."""
    template = next(iter(read_scenes(shapes / "scenes-test.jsonl").values()))
    (folder / "images").mkdir(parents=True)
    rows, scenes = [], []
    for place in range(count):
        yaw = (place * 45 + 3 + 180) % 360 - 180
        patch = dataclasses.replace(
            template.objects[0], colour="red", shape="sphere", yaw_deg=float(yaw), pitch_deg=0.0, visible_share=1.0
        )
        scene = dataclasses.replace(template, name=f"patch-{place}", objects=(patch,))
        draw(yaw).save(folder / "images" / f"{place}.png")
        program = {"colour": "red", "family": "where", "shape": "sphere"}
        rows.append(
            {
                "image": f"images/{place}.png",
                "question": "Where is the red sphere?",
                "answer": RING[place % 8],
                "family": "where",
                "scene": scene.name,
                "program": json.dumps(program),
            }
        )
        scenes.append(scene.to_dict())
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "scenes-test.jsonl").write_text("".join(json.dumps(scene) + "\n" for scene in scenes))
    return folder


def draw(yaw_deg, width=512):
    """A grey panorama with a red patch of 16° at a yaw."""
    columns = (np.arange(width) + 0.5) / width * 360 - 180
    rows = 90 - (np.arange(width // 2) + 0.5) / (width // 2) * 180
    near = np.abs((columns - yaw_deg + 180) % 360 - 180) < 8
    pixels = np.full((width // 2, width, 3), 128, np.uint8)
    pixels[np.abs(rows)[:, None] < 8 * near[None]] = (230, 10, 10)
    return Image.fromarray(pixels)
