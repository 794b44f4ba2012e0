"""A model that reports the true box of every object it is shown, and where the objects really are.

The objects of a PanoShapes scene are painted in one flat colour each. The model finds the pixels of each colour in the
JPEG that it gets. It has no access to the scene or to the direction of the view.
"""

import base64
import io
import json
import math

import numpy as np
import torch
from panollava_geometry import SphericalBox, rotation_matrix
from panollava_hf.asking._chat import ChatDefaults, PromptTokens, Reply
from panollava_hf.asking._families import FAMILIES
from panollava_hf.panoshapes._render import object_ids
from PIL import Image
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

#: Grey for everything else, and a colour for each object; each channel has one of three levels.
PALETTE = np.array(
    [(110, 110, 110), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)]
)
_CODES = np.zeros(27, int)
_CODES[((PALETTE > 55).astype(int) + (PALETTE > 182)) @ [9, 3, 1]] = np.arange(len(PALETTE))
WIDTH = 2048


def painted(objects):
    """The panorama of some solids `[3, H, 2H]`, and the index of the object at each pixel, -1 for none."""
    ids, _ = object_ids(objects, WIDTH)
    return torch.from_numpy(PALETTE[ids + 1].astype(np.uint8)).permute(2, 0, 1).contiguous(), ids


def corners_of(ids, index):
    """Rays to the corners of the pixels on the outline of an object; its box depends on these alone."""
    shows = ids == index
    around = np.pad(np.pad(shows, ((1, 1), (0, 0))), ((0, 0), (1, 1)), mode="wrap")
    within = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    rows, columns = np.nonzero(shows & ~within)
    height, width = ids.shape
    longitude = ((columns[:, None] + [0, 1, 0, 1]) / width - 0.5) * 2 * np.pi
    latitude = (0.5 - (rows[:, None] + [0, 0, 1, 1]) / height) * np.pi
    parts = (np.sin(longitude) * np.cos(latitude), np.sin(latitude), np.cos(longitude) * np.cos(latitude))
    return np.stack(parts, axis=-1).reshape(-1, 3)


def middle_and_size(rays, rotation):
    """How far the middle of what rays cover is from the axis of a frame, across and up, and its size; radians."""
    x, y, z = (rays @ rotation).T
    across, up = np.arctan2(x, z), np.arctan2(y, z)
    middle = np.array([(across.max() + across.min()) / 2, (up.max() + up.min()) / 2])
    return middle, (float(np.ptp(across)), float(np.ptp(up)))


def true_box(ids, index, region=None):
    """The upright box around the visible pixels of one object: its centre is in the middle of its width and height.

    Near a pole, where "upright" changes with the centre, there can be several such boxes, or none.

    Args:
        ids: The object at each pixel.
        index: The object.
        region: A box: the search begins at its centre, and if there is no upright box, the result has its roll.
    """
    rays = corners_of(ids, index)
    centre = rays.mean(axis=0) if region is None else region.rotation[:, 2]
    turned = region is not None and region.roll_deg != 0
    for _ in range(0 if turned else 100):
        yaw = math.degrees(math.atan2(centre[0], centre[2]))
        pitch = math.degrees(math.atan2(centre[1], math.hypot(centre[0], centre[2])))
        rotation = rotation_matrix(yaw, pitch)
        middle, size = middle_and_size(rays, rotation)
        if np.abs(middle).sum() < 1e-4:
            break
        centre = rotation @ np.array([*np.tan(0.4 * middle), 1])
    else:
        if region is not None:
            rotation = region.rotation
            for _ in range(20):
                middle, size = middle_and_size(rays, rotation)
                rotation = rotation @ rotation_matrix(*np.degrees(middle))
            x, y, z = rotation[:, 2]
            yaw, pitch = math.degrees(math.atan2(x, z)), math.degrees(math.asin(y))
            rest = rotation_matrix(yaw, pitch).T @ rotation
            return SphericalBox(
                yaw, pitch, *np.degrees(size).tolist(), math.degrees(math.atan2(rest[0, 1], rest[0, 0]))
            )
    return SphericalBox(yaw, pitch, *np.degrees(size).tolist())


def boxes_in(image):
    """The box in pixels of each object in an image."""
    pixels = np.asarray(image)
    codes = _CODES[((pixels > 55).astype(int) + (pixels > 182)) @ [9, 3, 1]]
    height, width = codes.shape
    around = np.pad(codes, 1, mode="edge")
    same = np.ones_like(codes, bool)  # mixed colours at edges are not objects
    for down in range(3):
        for across in range(3):
            same &= around[down : down + height, across : across + width] == codes
    found = {}
    for index in range(len(PALETTE) - 1):
        rows, columns = np.nonzero((codes == index + 1) & same)
        if len(rows) >= 3:
            left, top = max(columns.min() - 1, 0), max(rows.min() - 1, 0)
            found[index] = (left, top, min(columns.max() + 2, width), min(rows.max() + 2, height))
    return found


def written(box_format, boxes, names, size):
    """Boxes in pixels as a model of a family writes them."""
    height, width = size
    units = smart_resize(*size)[::-1] if box_format == "qwen2.5-vl" else (1000, 1000)
    scale = np.array([*units, *units]) / [width, height, width, height]
    numbers = {index: [round(value) for value in np.array(box) * scale] for index, box in boxes.items()}
    if box_format == "internvl":
        return " ".join(f"<ref>{names[i]}</ref><box>[{box}]</box>" for i, box in numbers.items()) or "There is none."
    rows = [{"bbox_2d": box, "label": names[i]} for i, box in numbers.items()]
    return f"```json\n{json.dumps(rows)}\n```"


def reply_to(messages, box_format, names):
    """The reply of the model to messages with one image."""
    (url,) = (part["image_url"]["url"] for part in messages[-1]["content"] if part["type"] == "image_url")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert image.format == "JPEG"
    return written(box_format, boxes_in(image), names, (image.height, image.width))


class Finder(ChatDefaults):
    """A `Chat`.

    Args:
        family: Name of its family.
        names: What it calls each object.
    """

    name, device, dtype, trained = "finder", "cpu", "float32", True

    def __init__(self, family, names):
        self.family, self.names, self.requests = FAMILIES[family], names, []

    def reply(self, requests, *, on_text=None):
        self.requests += requests
        return [Reply(reply_to(r.messages, self.family.box_format, self.names), 100, 50, 10) for r in requests]

    def count(self, request):
        return PromptTokens(100, 50)


def errors(found, ids, count):
    """For each object: IoU and distance in degrees between its true box and the region that is nearest to it.

    Raises:
        AssertionError: There are more or fewer regions than objects.
    """
    left = list(found.regions)
    assert len(left) == count, [region.box for region in left]
    measured = []
    for index in range(count):
        box = true_box(ids, index)
        best = max(left, key=lambda region: region.box.iou(box))
        left.remove(best)
        if abs(box.pitch_deg) > 55:
            box = true_box(ids, index, best.box)
        cosine = float(best.box.rotation[:, 2] @ box.rotation[:, 2])
        measured.append((best.box.iou(box), math.degrees(math.acos(min(1.0, cosine)))))
    return measured
