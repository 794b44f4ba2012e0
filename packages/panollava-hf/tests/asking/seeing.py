"""A model that answers only from what it is shown, and the panoramas that it is asked about."""

import base64
import io
import re
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import ChatDefaults, PromptTokens, Reply
from panollava_hf.asking._directions import SECTORS
from panollava_hf.asking._families import Family
from PIL import Image

COLOURS = {
    "left": ("red", (220, 30, 30)),
    "ahead": ("green", (30, 200, 30)),
    "right": ("blue", (30, 30, 220)),
    "behind": ("yellow", (220, 220, 30)),
    "above": ("white", (250, 250, 250)),
    "below": ("black", (5, 5, 5)),
}
PATCHES = {"magenta": (230, 20, 230), "cyan": (20, 230, 230), "grey": (128, 128, 128)}
_PALETTE = {**dict(COLOURS.values()), **PATCHES}
_ASKED = {"ahead": "ahead of me", "behind": "behind me", "left": "to the left", "right": "to the right"}
_TITLE = re.compile(r"Image \d+: ([^(]*?)(?: \(|$)")


def asked(name):
    """A question about one direction."""
    return f"What colour is it {_ASKED.get(name, name)}?"


def panorama(height=256):
    """Four quarters of the horizon, a white top and a black bottom."""
    yaw = (np.arange(2 * height) + 0.5) / height * 180 - 180
    pitch = 90 - (np.arange(height) + 0.5) / height * 180
    pixels = np.zeros((height, 2 * height, 3), np.uint8)
    names = np.array(["behind", "left", "ahead", "right", "behind"])[np.digitize(yaw, [-135, -45, 45, 135])]
    for name, (_, colour) in COLOURS.items():
        if name in _ASKED:
            pixels[:, names == name] = colour
    pixels[pitch > 45], pixels[pitch < -45] = COLOURS["above"][1], COLOURS["below"][1]
    return torch.from_numpy(pixels).permute(2, 0, 1)


def with_patch(colour, yaw_deg, pitch_deg, *, radius_deg=3.0, height=512):
    """Grey, with a small round patch in one direction, which fills the middle of a view of 30° only."""
    yaw = np.radians((np.arange(2 * height) + 0.5) / height * 180 - 180)
    pitch = np.radians(90 - (np.arange(height) + 0.5) / height * 180)[:, None]
    y, p = np.radians(yaw_deg), np.radians(pitch_deg)
    cosine = np.sin(pitch) * np.sin(p) + np.cos(pitch) * np.cos(p) * np.cos(yaw - y)
    pixels = np.full((height, 2 * height, 3), 128, np.uint8)
    pixels[cosine > np.cos(np.radians(radius_deg))] = PATCHES[colour]
    return torch.from_numpy(pixels).permute(2, 0, 1)


def image_of(part):
    return _decoded(part["image_url"]["url"])


@lru_cache(maxsize=64)  # one view is counted and shown several times
def _decoded(url):
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert image.format == "JPEG"
    assert max(image.size) <= 1024
    return np.asarray(image).astype(int)


def colour_of(part):
    """The colour in the middle of an image."""
    pixels = image_of(part)
    middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]
    return min(_PALETTE, key=lambda name: np.abs(middle - _PALETTE[name]).sum())


class Seeing(ChatDefaults):
    """Answers "What colour is it …?" from labelled images or descriptions, and looks at regions that it names.

    Args:
        regions: What it replies when it is asked to name regions.
        family: Its family.
        counts: Whether it counts tokens. An image is worth its 14 x 14 patches.
    """

    name, device, dtype, trained = "seeing", "cpu", "float32", True

    def __init__(self, *, regions="none", family=None, counts=True):
        self.family = family or Family("seeing", view_size=64)
        self.regions, self.counts, self.requests, self.streamed, self.failing = regions, counts, [], [], ()

    def reply(self, requests, *, on_text=None):
        self.requests += requests
        replies = []
        for request in requests:
            content = request.messages[-1]["content"]
            question = content if isinstance(content, str) else content[-1]["text"]
            if any(text in question for text in self.failing):
                replies.append(ChatError(f"no answer to {question}"))
                continue
            text = self._answer(request)
            tokens = self.count(request)
            replies.append(Reply(text, tokens.prompt, tokens.image, len(text.split())))
            if on_text is not None:
                self.streamed.append(request)
                on_text(text)
        return replies

    def count(self, request):
        if not self.counts:
            return PromptTokens(None, None)
        images, words = 0, 0
        for message in request.messages:
            for part in _parts(message):
                if part["type"] == "image_url":
                    height, width, _ = image_of(part).shape
                    images += -(-height // 14) * -(-width // 14)
                else:
                    words += len(part["text"].split())
        return PromptTokens(images + words, images)

    def _answer(self, request):
        content = _parts(next(m for m in request.messages if m["role"] == "user"))
        question = _parts(request.messages[-1])[-1]["text"]
        images = [part for part in content if part["type"] == "image_url"]
        if question.startswith("Describe what this view shows"):
            return f"It is {colour_of(images[0])}."
        if "Name at most" in question:
            return self.regions
        if question.startswith("Does this view help"):
            return "Yes." if colour_of(images[0]) in ("magenta", "cyan") else "No, it is grey."
        if question.startswith("Describe only"):
            return f"There is {colour_of(images[0])}."
        if question.startswith("What colour is the patch"):
            notes = re.findall(r"There is (\w+)", content[0]["text"])
            return next((name for name in (*notes, *map(colour_of, images)) if name in ("magenta", "cyan")), "unknown")
        return self._shown(content)[next(name for name in (*SECTORS, "above", "below") if question == asked(name))]

    def _shown(self, content):
        """The colour of each labelled image or description, by the name of its direction."""
        shown = {}
        for before, part in pairwise(content):
            if part["type"] == "image_url":
                shown[_TITLE.match(before["text"])[1]] = colour_of(part)
        lines = re.findall(r"^- ([^(]*?) \(.*?: It is (\w+)\.$", content[0]["text"], re.MULTILINE)
        return shown | dict(lines)


def _parts(message):
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
