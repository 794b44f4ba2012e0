"""`locate` on PanoShapes scenes, with a model that returns the true boxes of what it is shown."""

import base64
import dataclasses
import io
import json
import math
import re

import numpy as np
import pytest
import torch
from finder import WIDTH, Finder, errors, painted, reply_to, true_box
from loopback import serve
from panollava_geometry import EquirectangularView, PerspectiveView, SphericalBox, ViewPlan
from panollava_hf import Answerer
from panollava_hf._errors import ChatError
from panollava_hf.asking._boxes import ViewBox
from panollava_hf.asking._budget import Budget
from panollava_hf.asking._chat import PromptTokens, Reply
from panollava_hf.asking._families import FAMILIES
from panollava_hf.asking._locate import LOCATE_PLAN
from panollava_hf.asking._regions import group, regions, sightings, union, without_parts
from panollava_hf.cli import run
from panollava_hf.panoshapes import sample_scene
from PIL import Image

FAMILIES_AND_SIZES = [("qwen2_5_vl", 448), ("qwen2_5_vl", 500), ("qwen3_vl", 640), ("internvl", 448)]


def solid(shape, yaw, pitch, *, distance=2.0, radius=0.48, tilt=20.0):
    """One solid; its colour plays no role."""
    item = sample_scene(0, "test", 0).objects[0]
    return dataclasses.replace(
        item, shape=shape, yaw_deg=yaw, pitch_deg=pitch, distance=distance, radius=radius, tilt_deg=tilt, roll_deg=0.0
    )


def located(objects, family="qwen3_vl", size=448, names=None, **options):
    panorama, ids = painted(objects)
    model = Finder(family, names or ["thing"] * len(objects))
    found = Answerer(model, view_size=size, strategy="views").locate(panorama, "every thing", **options)
    return found, ids, model


def check(objects, **options):
    found, ids, _ = located(objects, **options)
    for iou, distance in errors(found, ids, len(objects)):
        assert iou >= 0.8
        assert distance <= 1
    return found


@pytest.mark.parametrize(("family", "size"), FAMILIES_AND_SIZES)
def test_random_scenes(family, size):
    """Six objects, also above, below, hidden in part, and of the same kind."""
    check(sample_scene(7, "test", 15).objects, family=family, size=size)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(200, 320))
def test_many_random_scenes(index):
    objects = sample_scene(7, "test", index).objects
    family, size = FAMILIES_AND_SIZES[index % 4]
    names = ["thing"] * len(objects) if index % 2 else [item.name for item in objects]
    check(objects, family=family, size=size, names=names)


@pytest.mark.parametrize(
    ("shape", "yaw", "pitch"),
    [
        ("cube", 180, 0),
        ("sphere", -179, 20),
        ("cone", 45, -45),
        ("cylinder", 30, 48),
        ("cube", 100, 84),
        ("cube", 0, 90),
        ("sphere", -60, -86),
    ],
)
def test_across_the_seam_between_views_and_at_the_poles(shape, yaw, pitch):
    check([solid(shape, yaw, pitch)])


@pytest.mark.parametrize("distance", [0.9, 1.1, 8.0])
def test_large_and_small_objects(distance):
    check([solid("sphere", 67, 30, distance=distance)], size=640)


@pytest.mark.parametrize("pitch", [0.0, 40.0, 75.0])
def test_objects_of_the_same_kind_next_to_each_other_stay_apart(pitch):
    step = 14 / np.cos(np.radians(pitch))
    found = check([solid("sphere", 170 + step * k, pitch, distance=4.0) for k in range(4)])
    assert {region.label for region in found.regions} == {"thing"}


def test_an_object_in_front_of_another_one():
    near, far = solid("sphere", -40, 0, distance=2.5, radius=0.3), solid("cube", -50, 3, distance=3.0, radius=0.7)
    check([far, near])


def test_each_view_is_asked_by_itself_and_objects_once_more():
    found, _, model = located([solid("cube", 33, 10)])
    assert [len([p for p in r.messages[0]["content"] if p["type"] == "image_url"]) for r in model.requests] == [1] * 11
    assert found.calls == len(found.replies) == 11
    assert (found.prompt_tokens, found.image_tokens, found.new_tokens) == (1100, 550, 110)
    assert abs(found.replies[10].view.yaw_deg - 33) <= 2
    assert 10 in found.regions[0].views
    once, _, _ = located([solid("cube", 33, 10)], look_again=False)
    assert once.calls == 10
    assert len(once.regions) == 1


def image_sizes(requests):
    urls = [part["image_url"]["url"] for r in requests for part in r.messages[0]["content"] if "image_url" in part]
    return {Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size for url in urls}


def test_views_have_sizes_that_no_server_of_qwen_2_5_resizes():
    """Boxes are in pixels of the resized image; its size depends on limits that the server sets."""
    for asked, sent in ((336, 336), (500, 504), (640, 644), (1000, 980)):
        _, _, model = located([solid("cube", 33, 10)], "qwen2_5_vl", asked, look_again=False)
        assert image_sizes(model.requests) == {(sent, sent)}
    _, _, model = located([solid("cube", 33, 10)], "internvl", 500, look_again=False)
    assert image_sizes(model.requests) == {(500, 500)}


def test_labels_say_exactly_where_a_view_looks():
    found, _, model = located([solid("cube", 33.4, 10.3), solid("cone", 100, 78)])
    for request, reply in zip(model.requests, found.replies, strict=True):
        title = next(
            part["text"] for part in request.messages[0]["content"] if part.get("text", "").startswith("Image")
        )
        read = re.search(r"\(yaw ([-+]?\d+)°, pitch ([-+]?\d+)°\), field of view (\d+)°$", title)
        yaw, pitch, fov = map(float, read.groups())
        assert PerspectiveView(yaw, pitch, hfov_deg=fov) == reply.view


def test_boxes_are_upright_also_near_a_pole():
    found = check([solid("cone", 100, 80, tilt=0.0), solid("cylinder", -30, 60)])
    assert [region.box.roll_deg for region in found.regions] == [0, 0]
    check([solid("cylinder", 77, 87, tilt=70.0)])  # no box without roll has it in its middle


@pytest.mark.parametrize(("shape", "yaw", "pitch"), [("cylinder", 20, 83), ("cube", -130, -85), ("torus", 60, 86)])
def test_near_a_pole_boxes_of_views_that_are_turned_against_each_other_are_joined(shape, yaw, pitch):
    found, ids, _ = located([solid(shape, yaw, pitch, tilt=50.0)])
    pole = math.copysign(90, pitch)
    turned = [reply.view.yaw_deg for reply in found.replies if reply.view.pitch_deg == pole]
    assert set(turned) >= {0, 22, 45, 67}
    ((iou, distance),) = errors(found, ids, 1)
    assert iou >= 0.9
    assert distance <= 0.5
    assert found.regions[0].box.roll_deg == 0


def test_views_of_their_own_that_fail_do_not_change_what_was_found():
    class First(Finder):
        def reply(self, requests, *, on_text=None):
            replies = super().reply(requests)
            return replies if len(self.requests) == 10 else [ChatError("time-out") for _ in requests]

    panorama, _ = painted([solid("cube", 33, 10)])
    model = First("qwen3_vl", ["thing"])
    found = Answerer(model, strategy="views").locate(panorama, "every thing")
    (region,) = found.regions
    assert abs(region.box.yaw_deg - 33) < 2
    assert len(found.problems) == 1


def test_an_object_cut_by_every_view_is_whole_after_all():
    """A plan of four narrow views: the object is across the border of two of them."""
    plan = ViewPlan(PerspectiveView(yaw, 0, hfov_deg=92.0) for yaw in (0.0, 90.0, 180.0, -90.0))
    check([solid("sphere", 45, 0), solid("sphere", 180, 0)], plan=plan)
    found, _, _ = located([solid("sphere", 45, 0)], plan=plan, look_again=False)
    assert all(abs(region.box.yaw_deg - 45) < 12 for region in found.regions)


def test_a_corner_of_an_object_that_every_view_cuts_is_no_object_of_its_own():
    ring = [PerspectiveView(yaw, 0, hfov_deg=90.0) for yaw in (0.0, 60.0, 120.0)]
    parts = [(0.6, 0.6, 1.0, 1.0), (0.0, 0.55, 0.97, 1.0), (0.0, 0.9, 0.03, 1.0)]
    found = [s for number in range(3) for s in sightings(number, ring[number], [ViewBox("rug", parts[number])])]
    small = [[found[2]], found[:2]]
    assert len(regions(small, "rug")) == 1
    assert len(regions(small[::-1], "rug")) == 1
    other = sightings(2, ring[2], [ViewBox("cat", parts[2])])
    assert len(regions([found[:2], other], "rug")) == 2


def test_what_is_larger_than_a_view_is_one_region():
    """A band around the whole horizon, and a floor."""
    band = [ViewBox("sea", (0.0, 0.45, 1.0, 0.6))]
    ring = [view for view in LOCATE_PLAN if view.pitch_deg == 0]
    found = [s for number, view in enumerate(ring) for s in sightings(number, view, band)]
    (region,) = regions(without_parts(group(found)), "sea")
    assert region.box.width_deg == 360
    assert region.views == tuple(range(8))
    down = sightings(0, LOCATE_PLAN[9], [ViewBox("floor", (0, 0, 1, 1))])
    assert union(down).pitch_deg == -90


def test_two_boxes_of_one_view_are_two_objects():
    view = PerspectiveView(0, hfov_deg=90.0)
    boxes = [(0.2, 0.2, 0.5, 0.6), (0.3, 0.2, 0.6, 0.6), (0.301, 0.2, 0.6, 0.6)]  # the last one is listed twice
    found = sightings(0, view, [ViewBox("door", box) for box in boxes])
    assert len(regions(without_parts(group(found)), "door")) == 2


class Fixed:
    """A `Chat` whose replies are given."""

    name, device, dtype, trained = "fixed", "cpu", "float32", True

    def __init__(self, *replies, family="qwen3_vl"):
        self.replies, self.family, self.asked = replies, FAMILIES[family], 0

    def reply(self, requests, *, on_text=None):
        first, self.asked = self.asked, self.asked + len(requests)
        return [self.replies[min(first + k, len(self.replies) - 1)] for k in range(len(requests))]

    def count(self, request):
        return PromptTokens(None, 50)


GREY = torch.full((3, 64, 128), 127, dtype=torch.uint8)


def find(*replies, **options):
    return Answerer(Fixed(*replies), strategy="views").locate(GREY, "the red door", **options)


def test_nothing_found():
    found = find(Reply("[]"), Reply("There is no red door."))
    assert (found.regions, found.problems, found.calls) == ((), (), 10)


def test_replies_without_boxes_are_a_clear_error():
    with pytest.raises(ChatError, match=r"fixed: the reply has no box and does not say .* 'A room\.'; choose another"):
        find(Reply("A room."))


def test_a_view_that_failed_is_reported_and_does_not_end_the_others():
    found = find(ChatError("time-out"), Reply("What a room."), Reply("[]"))
    assert found.problems[0].startswith("behind to the left (yaw -135°, pitch 0°): ")
    assert "time-out" in found.problems[0]
    assert len(found.problems) == 2
    assert found.calls == 9


def test_when_every_view_failed_the_first_error_is_raised():
    with pytest.raises(ChatError, match="the key was refused"):
        find(ChatError("the key was refused"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box_format": "yolo"}, "unknown box format 'yolo'; expected one of qwen2-vl, qwen2.5-vl, qwen3-vl"),
        ({"budget": Budget(calls=5)}, "5 calls"),
        ({"plan": ViewPlan([EquirectangularView()])}, "a view that is not a perspective view"),
    ],
)
def test_options_that_cannot_work(options, message):
    with pytest.raises(ChatError, match=message):
        find(Reply("[]"), **options)


def test_an_empty_description():
    with pytest.raises(ChatError, match="what to find is empty"):
        Answerer(Fixed(Reply("[]")), strategy="views").locate(GREY, "  ")


def test_a_panollava_checkpoint_writes_no_boxes():
    with pytest.raises(ChatError, match="PanoLLaVA checkpoints answer in words, not in boxes; use a model"):
        Answerer(Fixed(Reply("[]"), family="panollava"), strategy="views").locate(GREY, "the red door")


def test_cost_is_known_before():
    cost = Answerer(Fixed(), strategy="views").locate_cost(GREY, "the red door", max_new_tokens=100)
    assert (cost.steps["find"].calls, cost.steps["find"].image_tokens, cost.prompt_tokens) == (10, 500, None)
    assert cost.calls == 34


@pytest.fixture
def door(tmp_path):
    """A panorama with one object across the seam behind, and its true place."""
    panorama, ids = painted([solid("cube", 178, 5)])
    path = tmp_path / "door.png"
    Image.fromarray(panorama.permute(1, 2, 0).numpy()).save(path)
    return path, ids


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-VL-3B-Instruct", "qwen3-vl:2b", "OpenGVLab/InternVL3-2B"])
def test_the_command_with_an_endpoint(door, model, capsys, tmp_path):
    pytest.importorskip("openai")
    path, ids = door
    formats = {"Qwen/Qwen2.5-VL-3B-Instruct": "qwen2.5-vl", "qwen3-vl:2b": "qwen3-vl"}
    box_format = formats.get(model, "internvl")
    with serve(lambda request: reply_to(request["messages"], box_format, ["red door"])) as server:
        arguments = [str(path), "the red door", "--model", model, "--base-url", server.url, "--view-size", "500"]
        assert run(["locate", *arguments, "--json", "--save", str(tmp_path / "out" / "drawn.jpg")]) == 0
        report = json.loads(capsys.readouterr().out)
        assert run(["locate", *arguments]) == 0
        text = capsys.readouterr().out
    (region,) = report["regions"]
    box = SphericalBox(*(region[f"{name}_deg"] for name in ("yaw", "pitch", "width", "height", "roll")))
    assert box.iou(true_box(ids, 0)) > 0.9
    assert (region["label"], region["direction"], report["box_format"]) == ("red door", "behind", box_format)
    assert text.startswith("red door: yaw ")
    assert text.endswith(" (behind)\n")
    assert len(text.splitlines()) == 1
    with Image.open(tmp_path / "out" / "drawn.jpg") as drawn:
        assert drawn.size == (WIDTH, WIDTH // 2)


def test_the_command_when_nothing_is_found(door, capsys):
    pytest.importorskip("openai")
    with serve("[]") as server:
        arguments = ["locate", str(door[0]), "a [dragon]", "--model", "qwen3-vl", "--base-url", server.url]
        assert run(arguments) == 0
        out, err = capsys.readouterr()
        assert (out, "Note: a [dragon] was not found in 10 views." in err) == ("", True)
        assert run([*arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["regions"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", " "], "what to find is empty"),
        (["x", "--save", "drawn.bmp"], "--save drawn.bmp: the name must end in .jpg, .jpeg, .png, .webp"),
        (["x", "--box-format", "qwen"], "--box-format qwen: did you mean"),
        (["x", "--strategy", "erp"], "--strategy erp: expected views or zoom"),
        (["x", "--model", "embedded"], "locate does not work with embedded: PanoLLaVA checkpoints answer in words"),
    ],
)
def test_usage_errors(door, arguments, message, capsys):
    arguments = [str(door[0]), *(["x"] if arguments[0] == "x" and len(arguments) > 2 else []), *arguments[1:]]
    assert run(["locate", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
