"""Right answers over HTTP from a model that answers only from what a request shows.

The panoramas have another colour in each direction. A right answer proves that views, labels and order fit together and
arrive as they should.
"""

import traceback

import numpy as np
import pytest
from loopback import ASKED, COLOURS, contents, failed, image_bytes, images, nearest_colour, sense, serve
from loopback import LABELS as DIRECTION_LABELS
from panollava_hf import Answerer
from panollava_hf._errors import ChatError
from PIL import Image

pytest.importorskip("openai")

HEIGHT = 512
#: Yaw and pitch of each direction by docs/conventions.md.
DIRECTIONS = {
    "ahead": (0, 0),
    "right": (90, 0),
    "behind": (180, 0),
    "left": (-90, 0),
    "above": (0, 90),
    "below": (0, -90),
}
RING = ("ahead", "right", "behind", "left")
LABELS = ("text", "burnt-in", "both")


def question(name):
    return f"What colour is it {ASKED[name]}?"


def painted(colours=("green", "blue", "yellow", "red", "white", "purple"), height=HEIGHT):
    """A panorama whose horizon is ahead, right, behind and left, and whose top and bottom are of one colour each."""
    rows, columns = np.mgrid[:height, : 2 * height]
    yaw, pitch = (columns + 0.5) / height * 180 - 180, 90 - (rows + 0.5) / height * 180
    quarter = np.floor((yaw + 45) / 90).astype(int) % 4
    pixels = np.array([COLOURS[name] for name in colours[:4]], np.uint8)[quarter]
    pixels[pitch > 45], pixels[pitch < -45] = COLOURS[colours[4]], COLOURS[colours[5]]
    return pixels


def truth(pixels, name):
    """The colour in a direction, read from the pixels of the panorama themselves."""
    (yaw, pitch), (height, width) = DIRECTIONS[name], pixels.shape[:2]
    row = min(height - 1, int((90 - pitch) / 180 * height))
    return nearest_colour(pixels[row, int((yaw + 180) / 360 * width) % width])


def answers(url, pixels, strategy, labels, names=tuple(DIRECTIONS)):
    answerer = Answerer.load("some-model", base_url=url, strategy=strategy, labels=labels)
    found = answerer.answer_all([pixels], [question(name) for name in names], [0] * len(names))
    return {name: answer.text for name, answer in zip(names, found, strict=True)}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("strategy", ["views", "describe"])
def test_every_direction_is_right(strategy, labels):
    pixels = painted()
    with serve(sense) as server:
        found = answers(server.url, pixels, strategy, labels)
    assert found == {name: truth(pixels, name) for name in DIRECTIONS}
    assert len(set(found.values())) == 6


@pytest.mark.parametrize("strategy", ["views", "describe"])
def test_the_default_labels_of_endpoints_are_both(strategy):
    with serve(sense) as server:
        answerer = Answerer.load("some-model", base_url=server.url, strategy=strategy)
        assert answerer.answer(painted(), question("behind")).text == "yellow"
    assert answerer.look.labels == "both"


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("strategy", ["views", "describe"])
def test_answers_turn_with_the_panorama(strategy, labels):
    """Rolls by multiples of 90° and by any angle, as long as a view does not look at an edge between two colours."""
    generator = np.random.default_rng(LABELS.index(labels))
    edge = 8
    free = 45 - edge
    rolls = [90, 180, 270] + [int(90 * generator.integers(4) + generator.integers(-free, free + 1)) for _ in range(3)]
    right, straight = 0, painted()
    ahead = [truth(straight, name) for name in RING]
    with serve(sense) as server:
        for roll in rolls:
            pixels = np.roll(straight, round(roll / 360 * 2 * HEIGHT), axis=1)
            found = answers(server.url, pixels, strategy, labels)
            right += sum(found[name] == truth(pixels, name) for name in DIRECTIONS)
            turned = [found[name] for name in RING]
            assert turned == list(np.roll(ahead, round(roll / 90)))
    assert right == len(rolls) * len(DIRECTIONS)


def test_the_model_sees_nothing_without_labels_and_descriptions():
    """The stand-in must be able to fail: the same image without labels does not tell it where a colour is."""
    with serve(sense) as server:
        answerer = Answerer.load("some-model", base_url=server.url, strategy="erp")
        assert answerer.answer(painted(), question("left")).text == "I cannot see that."


@pytest.mark.parametrize("labels", LABELS)
def test_wrong_labels_give_wrong_answers(monkeypatch, labels):
    """The stand-in follows the labels: with the labels of another order it gives the answers of that order."""
    from panollava_hf.asking.strategies import _views

    other = {DIRECTION_LABELS["left"]: DIRECTION_LABELS["right"], DIRECTION_LABELS["right"]: DIRECTION_LABELS["left"]}

    def swapped(view, real=_views.label):
        return other.get(real(view), real(view))

    pixels = painted()
    monkeypatch.setattr(_views, "label", swapped)
    with serve(sense) as server:
        found = answers(server.url, pixels, "views", labels)
    assert found["left"] == truth(pixels, "right")
    assert found["right"] == truth(pixels, "left")


@pytest.mark.parametrize("strategy", ["views", "describe", "erp"])
@pytest.mark.parametrize("labels", LABELS)
def test_what_is_sent_is_small(tmp_path, strategy, labels):
    """Images are JPEG of at most 1024 pixels; the file itself is never sent, and a whole panorama only reduced."""
    file = tmp_path / "photo.jpg"
    Image.fromarray(painted(height=1024)).save(file, quality=95)
    bodies = []

    def keep(request):
        bodies.append(request)
        return sense(request)

    with serve(keep) as server:
        answerer = Answerer.load("some-model", base_url=server.url, strategy=strategy, labels=labels)
        answerer.answer(file, question("left"))
    assert len(bodies) == {"views": 1, "describe": 7, "erp": 1}[strategy]
    sizes = [[image.size for image in images(request)] for request in bodies]
    sent = [image_bytes(part) for body in bodies for part in contents(body) if part["type"] == "image_url"]
    assert sent
    assert file.read_bytes() not in sent
    assert all(data.startswith(b"\xff\xd8") for data in sent)
    whole = [(1024, 512)]
    expected = {"views": [[(448, 448)] * 6], "describe": [[(448, 448)]] * 6 + [whole], "erp": [whole]}
    assert sorted(sizes) == sorted(expected[strategy])


@pytest.mark.parametrize("strategy", ["views", "describe"])
def test_questions_that_fail_have_their_errors_in_their_places(monkeypatch, strategy):
    """The second of three panoramas is refused; the others are answered."""
    odd = painted(("white", "blue", "yellow", "red", "green", "purple"))

    def answer(request):
        sizes = [image.getpixel((image.width // 2, image.height // 2)) for image in images(request)]
        if any(nearest_colour(pixel) == "white" for pixel in sizes[1:2] or sizes) and "ahead" in str(
            request["messages"]
        ):
            return failed(400, "this image is not welcome")
        return sense(request)

    with serve(answer) as server:
        answerer = Answerer.load("some-model", base_url=server.url, strategy=strategy, api_key="sk-secret-of-the-test")
        found = answerer.answer_all([painted(), odd, painted()], [question("left")] * 3, [0, 1, 2])
    assert [getattr(one, "text", "failed") for one in found] == ["red", "failed", "red"]
    assert "this image is not welcome" in str(found[1])


def test_the_last_reply_is_streamed():
    pieces = []
    with serve(sense) as server:
        answerer = Answerer.load("some-model", base_url=server.url, strategy="describe", system="Be brief.")
        answer = answerer.answer(painted(), question("right"), on_text=pieces.append, seed=3)
    assert (answer.text, "".join(pieces), answer.calls) == ("blue", "blue", 7)
    assert [request.get("stream") for request in server.requests] == [None] * 6 + [True]
    assert [request.get("seed") for request in server.requests] == [None] * 6 + [3]
    assert {request["messages"][0]["role"] for request in server.requests} == {"system"}


def test_a_refused_key_is_one_error_without_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    with serve(failed(401, "sk-secret-of-the-test")) as server:
        answerer = Answerer.load("some-model", base_url=server.url, strategy="describe")
        with pytest.raises(ChatError, match="key was refused") as caught:
            answerer.answer(painted(), question("left"))
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert len(server.requests) == 1
