"""Leaving views out: a model of transformers, an endpoint, and every strategy."""

import pytest
import torch
from loopback import serve
from panollava_geometry import EquirectangularView, PerspectiveView, ViewPlan
from panollava_hf._errors import ChatError
from panollava_hf.asking import Answerer
from panollava_hf.asking._chat import ChatDefaults, PromptTokens, Reply, Request, parts_of
from panollava_hf.asking._data_url import from_data_url
from panollava_hf.asking._families import Family
from panollava_hf.asking.models._transformers import TransformersChat
from panollava_hf.evidence import explain, explain_cost
from panollava_hf.evidence._likelihood import log_likelihood
from panollava_hf.evidence._sphere import angles_deg, directions
from panollava_hf.evidence._support import same_words
from seeing import with_patch
from tiny_vlm import TINY


def magenta(content):
    """Whether one of the images of a message shows the magenta patch."""
    for part in content:
        if part["type"] == "image_url":
            red, green, blue = torch.tensor(list(from_data_url(part["image_url"]["url"]).tobytes())).view(-1, 3).T
            if int(((red > 180) & (green < 90) & (blue > 180)).sum()) > 20:
                return True
    return False


class Spotter(ChatDefaults):
    """Answers whether it is shown magenta; as a description, it says what it sees."""

    name, family, device, dtype, trained = "spotter", Family("spotter", view_size=64), "cpu", "float32", True

    def __init__(self):
        self.images = []

    def reply(self, requests, *, on_text=None):
        replies = []
        for request in requests:
            content = parts_of(request.messages[-1])
            self.images.append(sum(part["type"] == "image_url" for part in content))
            noted = " ".join(part["text"] for part in content if part["type"] == "text")
            text = "magenta" if magenta(content) or ": magenta" in noted else "grey"
            replies.append(Reply(text, 100, 60, 1))
        return replies

    def count(self, request):
        return PromptTokens(100, 60)


@pytest.mark.parametrize(("yaw", "pitch"), [(-90, 0), (180, 5), (0, -85)])
@pytest.mark.parametrize(("strategy", "calls"), [("views", 6), ("describe", 36)])
def test_the_view_that_the_answer_needs(strategy, calls, yaw, pitch):
    chat = Spotter()
    answerer = Answerer(chat, strategy=strategy)
    panorama = answerer.prepare(with_patch("magenta", yaw, pitch, radius_deg=8))
    steps = []
    evidence = explain(
        answerer, panorama, "Which colour?", "magenta", on_step=lambda done, total: steps.append((done, total))
    )
    assert evidence.method == "views"
    assert evidence.calls == calls == explain_cost(answerer, panorama, ["Which colour?"]).calls
    peak = directions(*map(torch.tensor, evidence.peak))
    assert float(angles_deg(peak, directions(torch.tensor(yaw), torch.tensor(pitch))[None])) < 12
    assert evidence.note.startswith("the answer changes without 1 of 6 views; without ")
    assert evidence.note.endswith(": grey")
    assert steps[-1] == (6, 6)
    assert max(chat.images) == 5 if strategy == "views" else 1


def test_an_object_where_views_overlap_is_hidden_in_both():
    """At 45° two views of 100° show the patch: without either, the other does not show it."""
    answerer = Answerer(Spotter())
    panorama = answerer.prepare(with_patch("magenta", 45, 0, radius_deg=4))
    evidence = explain(answerer, panorama, "Which colour?", "magenta")
    assert evidence.note.startswith("the answer changes without 2 of 6 views")
    assert evidence.mass(45, 0, 60) > 0.4


def test_the_whole_panorama_as_one_image():
    answerer = Answerer(Spotter(), strategy="erp")
    panorama = answerer.prepare(with_patch("magenta", -90, 0, radius_deg=8))
    evidence = explain(answerer, panorama, "Which colour?", "magenta")
    assert abs(evidence.peak[0] + 90) < 10


def test_an_answer_that_needs_no_view():
    answerer = Answerer(Spotter())
    evidence = explain(answerer, answerer.prepare(with_patch("magenta", 0, 0, radius_deg=0.1)), "Which colour?")
    assert evidence.answer == "grey"
    assert evidence.calls == 7
    assert evidence.note == "the answer changes without 0 of 6 views"
    assert float(evidence.map.max()) == float(evidence.map.min())


def test_an_endpoint():
    with serve(lambda request: "magenta" if magenta(request["messages"][-1]["content"]) else "grey") as server:
        answerer = Answerer.load("m", base_url=server.url, view_size=64)
        panorama = answerer.prepare(with_patch("magenta", 90, 0, radius_deg=8))
        evidence = explain(answerer, panorama, "Which colour?")
    assert evidence.answer == "magenta"
    assert len(server.requests) == evidence.calls == 7
    assert abs(evidence.peak[0] - 90) < 10
    assert evidence.note == "the answer changes without 1 of 6 views; without right: grey"


def test_an_endpoint_that_fails():
    with serve("magenta", "magenta", *["x"] * 0) as server:
        answerer = Answerer.load("m", base_url=server.url, view_size=64, max_retries=0, timeout=5)
        panorama = answerer.prepare(with_patch("magenta", 90, 0))
    with pytest.raises(ChatError, match="m at http"):
        explain(answerer, panorama, "Which colour?", "magenta")


@pytest.fixture(scope="module", params=["qwen2_5_vl", "internvl", "gemma3", "smolvlm"])
def tiny(request):
    return TransformersChat(*TINY[request.param].build(), request.param)


def test_a_model_of_transformers(tiny):
    answerer = Answerer(tiny, view_size=56)
    panorama = answerer.prepare(with_patch("cyan", 30, 0, height=128))
    evidence = explain(answerer, panorama, "Which colour?", "the cyan one", max_new_tokens=4)
    assert evidence.calls == 7 == explain_cost(answerer, panorama, ["Which colour?"]).calls
    assert torch.isfinite(evidence.map).all()
    assert "changes" not in evidence.note, "probabilities are compared, not texts"


def test_the_probability_is_that_of_the_loss(tiny):
    """The model's own loss on the answer, which it computes from labels."""
    answerer = Answerer(tiny, view_size=56)
    panorama = answerer.prepare(with_patch("cyan", 30, 0, height=128))
    seen = []

    class Recorded(ChatDefaults):
        family, name = tiny.family, "recorded"

        def reply(self, requests, **_):
            seen.extend(requests)
            return [Reply("") for _ in requests]

    Answerer(Recorded(), view_size=56).answer(panorama, "Which colour?")
    (request,) = seen
    assert isinstance(request, Request)
    found = log_likelihood(tiny, request.messages, "the cyan one")
    inputs = tiny.inputs([request.messages])
    tiny.drop_unread(inputs)
    new = tiny.processor.tokenizer("the cyan one", add_special_tokens=False, return_tensors="pt")["input_ids"]
    length = inputs["input_ids"].shape[1]
    for name in [name for name, value in inputs.items() if value.ndim == 2 and value.shape[1] == length]:
        tail = new if name == "input_ids" else torch.full_like(new, int(name == "attention_mask"))
        inputs[name] = torch.cat([inputs[name], tail], 1)
    labels = inputs["input_ids"].clone()
    labels[:, :length] = -100
    with torch.no_grad():
        loss = tiny.model(**inputs, labels=labels).loss
    assert found == pytest.approx(-float(loss) * new.shape[1], rel=1e-3)


def test_plans_that_cannot_be_left_out():
    panorama = with_patch("magenta", 0, 0)
    whole = Answerer(Spotter(), plan=ViewPlan([EquirectangularView()]))
    with pytest.raises(ChatError, match="each view of this plan sees nearly the whole panorama"):
        explain(whole, whole.prepare(panorama), "Which colour?", "magenta")
    many = Answerer(Spotter(), plan=ViewPlan(PerspectiveView(float(yaw)) for yaw in range(0, 330, 10)))
    with pytest.raises(ChatError, match="this plan has 33 views; choose a plan of at most 32"):
        explain(many, many.prepare(panorama), "Which colour?", "magenta")


def test_words_of_other_scripts():
    assert same_words("赤い円錐", "赤い立方体") == pytest.approx(2 * 2 / 9)
    assert same_words("", "") == 1
    assert same_words("yes", "") == 0
