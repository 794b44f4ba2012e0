"""What a visitor does: look around, ask, click a hot spot, choose a wrong file, stop."""

import os
import time

import numpy as np
import pytest
from page import between, words
from panollava_geometry import PerspectiveView, extract_views
from PIL import Image


def test_looking_around_and_asking_about_a_rendered_scene(page, scenes, demo):
    asked = scenes["purple-sphere"]
    page.load().upload(asked.path)

    before = page.yaw()
    page.drag(right=-120)
    assert 2 < between(page.yaw(), before) < 178, "a drag to the left turns the viewer"
    assert (page.yaw() - before + 540) % 360 > 180, "… to the right"

    assert words(page.ask(asked.question))[:2] == asked.answer.split()
    assert page.foreign_requests() == []
    assert page.errors == []


def test_a_hot_spot_turns_the_viewer_to_the_object(page, scenes):
    asked = scenes["green-cube"]
    target = asked.scene.objects[0]
    page.load().upload(asked.path)
    page.ask(f"Where is the {asked.answer}?")
    page.look_at(120.0, 0.0, 90.0)
    page.page.locator("[data-kind=spot]").first.click()
    page.wait_until_still()
    assert between(page.yaw(), target.yaw_deg) < 2
    assert abs(page.pitch() - target.pitch_deg) < 2
    assert page.distance_from_centre(".hot-spot-object") < 4, "the mark is on the object"


def test_views_outlines_and_evidence_of_an_answer_are_shown(page, scenes):
    asked = scenes["purple-sphere"]
    page.load().upload(asked.path)
    page.ask(asked.question)
    views = page.element("views").locator("button[data-yaw]")
    assert views.count() == 6
    views.nth(1).click()
    page.wait_until_still()
    assert between(page.yaw(), float(views.nth(1).get_attribute("data-yaw"))) < 1
    page.tab("Map")
    assert page.width_of_image("map") > 300
    page.tab("Evidence")
    page.button("explain").click()
    page.element("evidence").locator("img").wait_for()
    assert page.width_of_image("evidence") > 300
    page.wait_until_idle()
    assert page.without_name() == []
    assert page.foreign_requests() == []


@pytest.mark.parametrize("pose", [(0.0, 0.0, 90.0), (90.0, 0.0, 90.0), (-60.0, 30.0, 75.0)], ids=str)
def test_the_viewer_shows_what_extract_views_shows(open_page, scenes, pose):
    asked = scenes["blue-cylinder"]
    page = open_page("1280").load()
    page.upload(asked.path)
    page.look_at(*pose)
    for name, seen in (("on the screen", page.canvas()), ("snapshot()", page.snapshot())):
        expected = view_of(asked.pixels, pose, seen.shape[:2])
        difference, mirrored = (np.abs(image - expected).mean() for image in (1.0 * seen, 1.0 * seen[:, ::-1]))
        print(f"{name}, {pose}: {difference:.2f} grey levels on average; mirrored {mirrored:.1f}")
        assert difference <= 2
        assert mirrored > 2 * difference, "the comparison can fail"


def view_of(pixels, pose, size):
    """`extract_views` for a pose of the viewer, `[height, width, 3]`."""
    (yaw, pitch, hfov), (height, width) = pose, size
    vfov = 2 * np.degrees(np.arctan(np.tan(np.radians(hfov / 2)) * height / width))
    view = PerspectiveView(yaw, pitch, hfov_deg=hfov, vfov_deg=float(vfov))
    (found,) = np.asarray(extract_views(pixels, [view], (height, width)))
    return found.astype(float)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"not an image"),
        ("broken.jpg", b"\xff\xd8\xff\xe0" + bytes(500)),
        ("empty.png", b""),
    ],
)
def test_a_wrong_file_is_a_sentence_in_the_page(page, scenes, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    page.load().upload(path, shown=False)
    sentence = page.wait_for_error()
    assert name.split(".")[0] in sentence.lower()
    assert len(sentence) < 300
    assert "Traceback" not in sentence
    asked = scenes["green-cube"]
    page.upload(asked.path)
    assert words(page.ask(asked.question))[:2] == asked.answer.split(), "the page still works"


def test_a_flat_photograph_is_refused_with_what_is_expected(open_page, tmp_path):
    Image.new("RGB", (300, 300), "green").save(tmp_path / "square.png")
    page = open_page("1280").load()
    page.upload(tmp_path / "square.png", shown=False)
    assert "300" in page.wait_for_status("300")


@pytest.mark.skipif("PANOLLAVA_SPACE" in os.environ, reason="needs a slow model; a Space has its own")
@pytest.mark.parametrize("size", ["1280", "390"])
def test_a_question_shows_progress_and_can_be_stopped(open_page, slow_demo, scenes, size):
    page = open_page(size, slow_demo.address).load()
    page.upload(scenes["green-cube"].path)
    page.ask("What is to the left?", wait=False)
    page.wait_for_status(r"… [1-9]\d* s")
    begin = time.monotonic()
    page.button("stop").click()
    assert page.wait_for_status("stopped|answered") == "Stopped."
    page.wait_until_idle()
    assert time.monotonic() - begin < 3
    slow_demo.release.set()
    assert words(page.ask("What is to the left?"))[:2] == ["a", "door"], "the next question is answered"


def test_two_sessions_see_only_their_own_panorama(open_page, scenes):
    names = ("purple-sphere", "yellow-cone")
    pages = [open_page(size).load() for size in ("1280", "390")]
    for page, name in zip(pages, names, strict=True):
        page.upload(scenes[name].path)
    for page, name in zip(pages, names, strict=True):  # both run at once
        page.ask(scenes[name].question, wait=False)
    for page, name in zip(pages, names, strict=True):
        page.answers().first.wait_for()
        page.wait_until_idle()
        assert words(page.answers().first.inner_text())[:2] == scenes[name].answer.split()
        assert page.answers().count() == 1
    assert pages[0].image_address() != pages[1].image_address()
