"""Strategies against a model that answers only from what it is shown.

The panorama has another colour in each direction. The model reads the question, looks for the image or description
whose label names that direction, and says its colour: a right answer proves that views, labels and order fit together.
"""

import pytest
from panollava_geometry import EquirectangularView, PerspectiveView, ViewPlan, rotate_equirectangular
from panollava_hf import Answerer
from panollava_hf._errors import ChatError, PanoLLaVaError, TextError
from panollava_hf.asking._chat import Reply
from panollava_hf.asking._families import Family
from panollava_hf.asking._frame import LOOK_AROUND
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies import STRATEGIES, Look, needed_width, run

from .seeing import COLOURS, Seeing, asked, image_of, panorama, with_patch

ONE_IMAGE = Family("one", view_size=64, strategy="describe", max_images=1)


def images(request):
    return sum(part["type"] == "image_url" for part in request.messages[-1]["content"])


@pytest.mark.parametrize("labels", ["text", "both"])
@pytest.mark.parametrize("strategy", ["views", "describe", "zoom"])
def test_each_direction_is_right(strategy, labels):
    answerer = Answerer(Seeing(), strategy=strategy, labels=labels)
    found = answerer.answer_all([panorama()], [asked(name) for name in COLOURS], [0] * 6)
    assert [answer.text for answer in found] == [colour for colour, _ in COLOURS.values()]


@pytest.mark.parametrize("strategy", ["views", "describe"])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_rotated_panorama_has_rotated_answers(strategy, turns):
    """Turning the viewer to the right by 90° brings what was to the right ahead."""
    ring = ["ahead", "right", "behind", "left"]
    moved = rotate_equirectangular(panorama(), yaw_deg=90.0 * turns)
    found = Answerer(Seeing(), strategy=strategy).answer_all([moved], [asked(name) for name in ring], [0] * 4)
    expected = [COLOURS[name][0] for name in ring]
    assert [answer.text for answer in found] == expected[turns:] + expected[:turns]


@pytest.mark.parametrize("labels", ["text", "both"])
@pytest.mark.parametrize("strategy", ["views", "describe"])
def test_random_yaw_rolls_change_no_answer(strategy, labels):
    """After a turn by r to the right, what was at yaw y + r is at yaw y."""
    ring = {"ahead": 0, "right": 90, "behind": 180, "left": 270}
    answerer = Answerer(Seeing(), strategy=strategy, labels=labels)
    for roll in (7.0, 38.5, 118.0, -63.2, 211.7, 300.1):
        moved = rotate_equirectangular(panorama(), yaw_deg=roll)
        found = answerer.answer_all([moved], [asked(name) for name in (*ring, "above", "below")], [0] * 6)
        sectors = [round((yaw + roll) / 90) % 4 for yaw in ring.values()]
        expected = [COLOURS[list(ring)[sector]][0] for sector in sectors]
        assert [answer.text for answer in found] == [*expected, "white", "black"]


def test_describe_shows_each_view_by_itself_and_the_whole_panorama_last():
    model = Seeing()
    answer = Answerer(model, strategy="describe").answer(panorama(), asked("left"))
    assert [images(request) for request in model.requests] == [1] * 7
    assert answer.calls == 7
    assert answer.views.shape == (1, 3, 256, 512)
    assert answer.plan == ViewPlan([EquirectangularView()])


def test_erp_shows_the_panorama_as_it_is():
    model = Seeing()
    with pytest.raises(KeyError):  # nothing is labelled with a direction
        Answerer(model, strategy="erp").answer(panorama(), asked("left"))
    (request,) = model.requests
    assert image_of(request.messages[0]["content"][2]).shape == (256, 512, 3)


@pytest.mark.parametrize("yaw", [20, 137, -90, 180])
@pytest.mark.parametrize("pitch", [0, 40, -62])
@pytest.mark.parametrize("family", [None, ONE_IMAGE], ids=["any number of images", "one image"])
def test_zoom_cuts_out_what_the_model_names(yaw, pitch, family):
    """A patch of 6° is in the middle of a view only if the view was cut around it, and tells nothing in others."""
    model = Seeing(regions=f"1. yaw {yaw + 90}, pitch {-pitch}\n2. yaw {yaw}, pitch {pitch}, width 30", family=family)
    answer = Answerer(model, strategy="zoom").answer(with_patch("magenta", yaw, pitch), "What colour is the patch?")
    assert answer.text == "magenta"
    (region,) = answer.regions
    assert (region.box.yaw_deg % 360, region.box.pitch_deg) == pytest.approx((yaw % 360, pitch))
    assert (region.box.width_deg, region.box.height_deg) == pytest.approx((30, 30))
    assert answer.note == ""
    assert answer.calls == 6 + 1 + 2 + 1
    assert [(view.yaw_deg % 360, view.pitch_deg, view.hfov_deg) for view in answer.plan] == [(yaw % 360, pitch, 30)]
    wrong = Seeing(regions=f"yaw {yaw + 20}, pitch {pitch}", family=family)
    missed = Answerer(wrong, strategy="zoom").answer(with_patch("magenta", yaw, pitch), "What colour is the patch?")
    assert missed.text == "unknown"


@pytest.mark.parametrize(
    "reply",
    [
        '[{"bbox_2d": [756, 428, 800, 461], "label": "left patch"}]',
        "<ref>patch</ref><box>[[756, 428, 800, 461]]</box>",
        '{"box_2d": [428, 756, 461, 800]}',
    ],
)
def test_zoom_reads_regions_that_are_boxes_in_the_whole_panorama(reply):
    answer = Answerer(Seeing(regions=reply), strategy="zoom").answer(
        with_patch("magenta", 100, 10), "What colour is the patch?"
    )
    (region,) = answer.regions
    assert (region.box.yaw_deg, region.box.pitch_deg) == pytest.approx((100, 10), abs=0.3)


class Writing(Seeing):
    """Answers with a fixed text."""

    def reply(self, requests, *, on_text=None):
        return [Reply(self.regions) for _ in requests]


@pytest.mark.parametrize(
    ("strategy", "text", "found"),
    [
        ("erp", 'Here: {"bbox_2d": [972, 400, 1000, 600], "label": "door"}', [("door", 175, 0, 0)]),
        ("views", 'Image 3: {"bbox_2d": [450, 450, 550, 550], "label": "door"}', [("door", 90, 0, 2)]),
        ("views", '[{"image": 4, "bbox_2d": [450, 450, 550, 550]}]', [("", 180, 0, 3)]),
        ("views", "Image 1 shows <box>[450, 450, 550, 550]</box>, image 5 nothing.", [("", -90, 0, 0)]),
        ("views", '{"bbox_2d": [450, 450, 550, 550]}', []),
        ("views", 'Image 9: {"bbox_2d": [450, 450, 550, 550]}', []),
        ("views", "Image 3: at [450, 450, 550, 550], so to the right.", []),
        ("erp", "red", []),
    ],
)
def test_boxes_in_an_answer_are_regions_if_their_image_is_clear(strategy, text, found):
    answer = Answerer(Writing(regions=text), strategy=strategy).answer(panorama(), "Where is the door?")
    assert [region.label for region in answer.regions] == [label for label, *_ in found]
    for region, (_, yaw, pitch, view) in zip(answer.regions, found, strict=True):
        assert abs((region.box.yaw_deg - yaw + 180) % 360 - 180) < 1
        assert abs(region.box.pitch_deg - pitch) < 1
        assert region.view == view


def test_zoom_with_one_image_in_a_prompt_asks_about_each_region_by_itself():
    erp = with_patch("cyan", 100, 10).maximum(with_patch("cyan", -60, 20) * (with_patch("cyan", -60, 20) != 128))
    model = Seeing(regions="yaw 100, pitch 10, width 30\nyaw -60, pitch 20, width 30\nbehind", family=ONE_IMAGE)
    answer = Answerer(model, strategy="zoom").answer(erp, "What colour is the patch?")
    assert (answer.text, len(answer.regions)) == ("cyan", 2)
    assert {images(request) for request in model.requests} == {1}
    assert [request.purpose for request in model.requests] == [
        *["describe"] * 6,
        "name regions",
        *["check"] * 3,
        *["look closer"] * 2,
        "answer",
    ]
    assert "- right (yaw +100°, pitch +10°): There is cyan." in answer.messages[0]["content"][0]["text"]


@pytest.mark.parametrize(
    ("regions", "note", "calls"),
    [
        ("none", "named no region to look at ('none')", 8),
        ("", "named no region to look at ('')", 8),
        ("I would rather not say.", "named no region to look at ('I would rather not say.')", 8),
        ("yaw 90, pitch 0\nleft", "none of 2 named regions helps", 10),
    ],
)
def test_zoom_without_regions_answers_as_describe_and_says_so(regions, note, calls):
    answer = Answerer(Seeing(regions=regions), strategy="zoom").answer(panorama(), asked("left"))
    assert (answer.text, answer.regions, answer.calls) == ("red", (), calls)
    assert answer.note.startswith("answered as describe: ")
    assert note in answer.note


def test_zoom_looks_at_no_more_regions_than_it_may():
    model = Seeing(regions="\n".join(f"yaw {yaw}, pitch 0" for yaw in range(-180, 180, 30)))
    Answerer(model, strategy="zoom").answer(panorama(), asked("left"))
    assert sum(request.purpose == "check" for request in model.requests) == 3


def test_views_are_refused_where_they_are_too_many_images():
    with pytest.raises(ChatError, match=r"shows 6 images in one prompt, but this model takes 1; use .*describe, zoom"):
        Answerer(Seeing(family=ONE_IMAGE), strategy="views")
    Answerer(Seeing(family=ONE_IMAGE), strategy="views", plan=LOOK_AROUND[:1])
    with pytest.raises(ChatError, match="unknown strategy 'look'; expected one of views, describe, zoom, erp"):
        Answerer(Seeing(), strategy="look")


def test_an_error_of_one_question_does_not_end_the_others():
    model = Seeing()
    model.failing = ("behind",)
    questions = [asked(name) for name in ("left", "behind", "right")]
    left, behind, right = Answerer(model, strategy="describe").answer_all([panorama()], questions, [0, 0, 0])
    assert (left.text, right.text) == ("red", "blue")
    assert isinstance(behind, ChatError)
    model.failing = ("Describe",)
    assert all(isinstance(found, ChatError) for found in run_twice(model)[0])


def run_twice(model):
    answerer, memo = Answerer(model, strategy="describe"), {}
    prepared = answerer.prepare(panorama())
    return [answerer.answer_all([prepared], [asked("left")], [0], memo=memo) for _ in range(2)]


def test_descriptions_are_shared():
    model = Seeing()
    first, second, other = Answerer(model, strategy="describe").answer_all(
        [panorama(), panorama(128)], [asked("left"), asked("right"), asked("left")], [0, 0, 1]
    )
    assert [answer.calls for answer in (first, second, other)] == [7, 1, 7]
    assert len(model.requests) == 15
    assert [answer.text for answer in (first, second, other)] == ["red", "blue", "red"]
    again = Seeing()
    assert [answer.calls for (answer,) in run_twice(again)] == [7, 1]


def test_a_new_panorama_in_the_place_of_an_old_one_gets_descriptions_of_its_own():
    answerer, memo, texts = Answerer(Seeing(), strategy="describe"), {}, []
    for turns in range(4):
        moved = rotate_equirectangular(panorama(64), yaw_deg=90.0 * turns)
        (answer,) = answerer.answer_all([moved], [asked("ahead")], [0], memo=memo)
        texts.append(answer.text)
        del moved, answer
    assert texts == ["green", "blue", "yellow", "red"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_the_answer_is_streamed(strategy):
    model, pieces = Seeing(regions="yaw 10, pitch 0, width 30"), []
    answerer = Answerer(model, strategy=strategy)
    answer = answerer.answer(with_patch("cyan", 10, 0), "What colour is the patch?", on_text=pieces.append)
    assert model.streamed == [model.requests[-1]]
    assert "".join(pieces) == answer.text
    with pytest.raises(ValueError, match="single question"):
        answerer.answer_all([panorama()], ["What?", "Where?"], [0, 0], on_text=pieces.append)


@pytest.mark.parametrize("question", ["", "  \n", "Where is \ud800?"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bad_question_is_refused_before_anything_is_sent(strategy, question):
    model = Seeing()
    with pytest.raises(TextError):
        Answerer(model, strategy=strategy).answer(panorama(), question)
    assert model.requests == []


def test_calls_end_where_they_may():
    model = Seeing()
    look = Look(LOOK_AROUND, (64, 64))
    shown = [Panorama.load(panorama(64)), Panorama.load(panorama(64))]
    steps = [STRATEGIES["describe"](one, asked("left"), look) for one in shown]
    first, second = run(model, steps, max_calls=11)
    assert first.outcome.text == "red"
    assert isinstance(second.outcome, ChatError)
    assert "budget of 11 calls" in str(second.outcome)
    assert len(model.requests) == 7


@pytest.mark.parametrize(("strategy", "most"), [("views", 4600), ("describe", 4600), ("zoom", 6100), ("erp", 1024)])
def test_a_panorama_is_kept_no_larger_than_a_strategy_needs(strategy, most, tmp_path):
    from PIL import Image

    Image.new("RGB", (8192, 4096)).save(tmp_path / "large.jpg")
    answerer = Answerer(Seeing(family=Family("large")), strategy="views")
    width = answerer.prepare(tmp_path / "large.jpg", strategy).image.shape[-1]
    assert most * 0.9 < width <= most
    assert width == needed_width(strategy, answerer.look)


def test_a_finer_plan_needs_a_finer_panorama():
    narrow = Look(ViewPlan([PerspectiveView(0.0, hfov_deg=10.0)]), (448, 448))
    assert needed_width("views", narrow) > 16_000
    native = Look(narrow.plan, narrow.size, family=Family("panollava", reads_panoramas=True))
    assert needed_width("views", native) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view_size": 2000}, "from 16 to 1024"),
        ({"view_size": 0}, "got 0"),
        ({"labels": "top"}, "one of text, burnt-in"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(options, message):
    with pytest.raises(PanoLLaVaError, match=message):
        Answerer(Seeing(), **options)


@pytest.mark.parametrize(
    "options", [{"view_size": 64}, {"labels": "text"}, {"system": "Be brief."}, {"plan": LOOK_AROUND[:1]}]
)
def test_a_model_that_cuts_its_own_views_cannot_be_shown_others(options):
    own = Seeing(family=Family("own", reads_panoramas=True))
    with pytest.raises(ChatError, match=f"seeing: {next(iter(options))} cannot be chosen"):
        Answerer(own, **options)
    with pytest.raises(ChatError, match="strategy describe does not work with PanoLLaVA checkpoints"):
        Answerer(own, strategy="describe")
