"""Evidence by the embedded checkpoint, and by models whose answers depend on one known part of the sphere."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from panollava_hf import PanoLLaVaImageProcessor
from panollava_hf._errors import ChatError, TextError
from panollava_hf.asking import Answerer, Budget
from panollava_hf.asking._chat import ChatDefaults
from panollava_hf.asking._families import FAMILIES, Family
from panollava_hf.asking._panorama import Panorama
from panollava_hf.evidence import METHODS, Evidence, explain, explain_cost
from panollava_hf.evidence._sphere import angles_deg, directions, uniform
from torch import nn

from .test_sphere import integral

UNIFORM = 0.0302  # share of the sphere within 20°


@pytest.mark.parametrize("method", METHODS)
def test_the_map_is_a_density_that_lies_on_the_object(embedded, scene, image, method):
    _, item = scene
    steps = []
    evidence = explain(
        embedded,
        embedded.prepare(image),
        f"What colour is the {item.shape}?",
        method=method,
        max_new_tokens=4,
        on_step=lambda *step: steps.append(step),
    )
    assert evidence.answer == item.colour
    assert evidence.method == method
    assert evidence.map.shape == (90, 180)
    assert evidence.map.dtype == torch.float32
    assert torch.isfinite(evidence.map).all()
    assert float(evidence.map.min()) >= 0
    assert integral(evidence.map) == pytest.approx(1, abs=2e-3)
    least = 2 if method == "views" else 3  # a view is wider than the circle
    assert evidence.mass(item.yaw_deg, item.pitch_deg, 20) > least * UNIFORM
    assert steps[-1][0] == steps[-1][1] == max(done for done, _ in steps)


@pytest.mark.parametrize("method", ["gradient", "views"])
def test_the_map_follows_a_turn_of_the_panorama(embedded, scene, image, method):
    """A quarter turn: the views of the cubemap change places, the pixels stay the same."""
    _, item = scene
    question = f"What colour is the {item.shape}?"
    found = [
        explain(embedded, embedded.prepare(panorama), question, item.colour, method=method)
        for panorama in (image, image.roll(image.shape[-1] // 4, -1))
    ]
    before, after = (directions(*map(torch.tensor, evidence.peak)) for evidence in found)
    turned = torch.stack([before[2], before[1], -before[0]])
    assert float(angles_deg(after, turned[None])) < 15
    assert found[1].mass(item.yaw_deg + 90, item.pitch_deg, 20) > 2 * UNIFORM


def test_gradients_add_up_to_what_the_panorama_changes(embedded, scene, image, monkeypatch):
    """Completeness: the signed amounts sum to the margin of the real panorama minus that of the blurred one."""
    from panollava_hf.evidence import _gradient
    from panollava_hf.evidence._baseline import blurred_views
    from panollava_hf.evidence._scores import margin, prompt_of

    amounts = []
    monkeypatch.setattr(_gradient, "pasted", lambda values, plan: amounts.append(values) or torch.zeros(90, 180))
    monkeypatch.setattr(_gradient, "STEPS", 32)
    chat, panorama, item = embedded.chat, embedded.prepare(image), scene[1]
    prompt = prompt_of(chat, f"What colour is the {item.shape}?", item.colour)
    _gradient.by_gradient(chat, panorama, prompt, lambda done, total: None)
    plan, real = panorama.memo["plan"], panorama.memo["pixel_values"]
    start = blurred_views(panorama, chat.processor.image_processor, plan, (80, 80))
    with torch.no_grad():
        whole, none = (float(margin(chat.model, prompt, pixel_values=pixels)) for pixels in (real, start))
    assert float(amounts[0].sum()) == pytest.approx(whole - none, rel=0.1)


def test_parameters_still_need_gradients_afterwards(embedded, image):
    before = [parameter.requires_grad for parameter in embedded.model.parameters()]
    explain(embedded, embedded.prepare(image), "What colour is the cube?", "red")
    assert [parameter.requires_grad for parameter in embedded.model.parameters()] == before
    assert any(before)
    assert all(parameter.grad is None for parameter in embedded.model.parameters())


class OneSpot(nn.Module):
    """A PanoLLaVA checkpoint that is the surer of token 1 the redder it is within 12° of one direction."""

    def __init__(self, plan, size, direction):
        super().__init__()
        rays = torch.stack([torch.from_numpy(view.rays(size)) for view in plan])
        self.mask = (angles_deg(rays, direction[None])[0] < 12).float()
        self.weight = nn.Parameter(torch.ones(()))
        self.device, self.dtype, self.token_grid = torch.device("cpu"), torch.float32, (1, 1)
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace())
        self.panollava, self.projector = self, lambda latents, num_views, **_: latents.reshape(-1, num_views, 1)
        self._plan_rays = torch.zeros(len(plan), 1, 1, 3)

    def encode_views(self, pixels):
        masks = self.mask if pixels.shape[1] == len(self.mask) else self.mask[self.seen]
        return None, (pixels[0, :, 0] * masks).sum((-2, -1))[:, None, None]

    def forward(self, input_ids, logits_to_keep, return_dict, pixel_values=None, mm_encoder_outputs=None):
        if pixel_values is None:
            redness = torch.stack([tokens.sum() for tokens in mm_encoder_outputs["image"].pooler_output])
        else:
            redness = (pixel_values[:, :, 0] * self.mask).sum((-3, -2, -1))
        logits = torch.zeros(len(redness), logits_to_keep, 3)
        logits[..., 1] = (self.weight * redness)[:, None]
        return SimpleNamespace(logits=logits)


class OneSpotChat(ChatDefaults):
    family, name, device, dtype, trained = FAMILIES["panollava"], "one spot", "cpu", "float32", True

    def __init__(self, direction):
        images = PanoLLaVaImageProcessor(size=24, crop_strategy="cubemap", fov_deg=104.0, token_grid=(1, 1))
        self.model = OneSpot(images.view_plan(), (24, 24), direction)
        self.processor = SimpleNamespace(
            image_processor=images,
            num_image_tokens=lambda: 6,
            tokenizer=lambda text, add_special_tokens: {"input_ids": [1]},
        )

    def _prompt(self, question, image_tokens):
        return [0] * (image_tokens + 1)

    def prepare(self, panorama):
        images = self.processor.image_processor
        values = images([panorama.image])["pixel_values"]
        panorama.memo |= {"pixel_values": values, "plan": images.view_plan(), "views": images.denormalise(values[0])}


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (178.0, -10.0), (-100.0, 60.0)])
@pytest.mark.parametrize("method", ["gradient", "views"])
def test_a_model_that_looks_at_one_spot(method, yaw, pitch):
    torch.manual_seed(0)
    spot = directions(torch.tensor(yaw), torch.tensor(pitch))
    image = torch.full((3, 128, 256), 100, dtype=torch.uint8)
    for other in (spot, -spot, directions(torch.tensor(yaw + 90), torch.tensor(0.0))):  # red is also elsewhere
        near = angles_deg(_rays(128), other[None])[0] < 12
        image[0, near], image[1:, near] = 230, 20
    evidence = explain(Answerer(OneSpotChat(spot)), Panorama(image), "How red is it?", "red", method=method)
    peak = directions(*map(torch.tensor, evidence.peak))
    assert float(angles_deg(peak, spot[None])) < (10 if method == "gradient" else 50)
    assert evidence.mass(yaw, pitch, 20) > (0.9 if method == "gradient" else 2 * UNIFORM)
    assert evidence.note == ""


def _rays(height):
    from panollava_hf.evidence._sphere import map_rays

    return map_rays(height)


def test_an_answer_that_nothing_supports(image):
    """A model that always gives the same logits: an even map, and a note."""
    chat = OneSpotChat(directions(torch.tensor(0.0), torch.tensor(0.0)))
    chat.model.mask.zero_()
    evidence = explain(Answerer(chat), Panorama(image), "How red is it?", "red", method="gradient")
    assert torch.equal(evidence.map, uniform())
    assert evidence.is_even
    assert "as surely" in evidence.note


def test_cancelling(embedded, image):
    class Stopped(Exception):
        pass

    def stop(done, total):
        raise Stopped

    for method in METHODS:
        with pytest.raises(Stopped):
            explain(embedded, embedded.prepare(image), "What colour is the cube?", "red", method=method, on_step=stop)


def test_bad_input(embedded, image):
    prepared = embedded.prepare(image)
    with pytest.raises(ChatError, match="unknown method 'saliency'; expected one of gradient, occlusion, views"):
        explain(embedded, prepared, "Where?", method="saliency")
    with pytest.raises(TextError, match="the question is empty"):
        explain(embedded, prepared, "  ")
    with pytest.raises(TextError, match="too long"):
        explain(embedded, prepared, "cube " * 3000, "red")
    with pytest.raises(ChatError, match="the budget is 3 calls"):
        explain(embedded, prepared, "Where is the cube?", "back", budget=Budget(calls=3))
    chat = ChatDefaults()
    chat.family, chat.name = Family("other", view_size=64), "other"
    with pytest.raises(ChatError, match="other: method gradient needs a PanoLLaVA checkpoint in this process"):
        explain(Answerer(chat), Panorama(image), "Where?", "there", method="gradient")


def test_a_guess_is_not_explained(embedded, image):
    prepared, gray = embedded.prepare(image), torch.full((3, 64, 128), 127, dtype=torch.uint8)
    with pytest.raises(ChatError, match=r"embedded: no answer to explain: .* does not know the word 'door'"):
        explain(embedded, prepared, "Where is the door?")
    with pytest.raises(ChatError, match="this image is unlike"):
        explain(embedded, embedded.prepare(gray), "Where is the cube?")


def test_an_empty_answer_and_a_long_one(embedded, image):
    prepared = embedded.prepare(image)
    for answer in ("", "red cube front, " * 50):
        assert integral(explain(embedded, prepared, "Describe the scene.", answer).map) == pytest.approx(1, abs=2e-3)


def test_the_cost_is_what_is_used(embedded, image):
    prepared = embedded.prepare(image)
    for method, calls in (("gradient", 8), ("occlusion", 97), ("views", 7)):
        cost = explain_cost(embedded, prepared, ["What colour is the cube?"], method=method)
        assert cost.calls == calls
        if method != "occlusion":
            assert explain(embedded, prepared, "What colour is the cube?", "red", method=method).calls == calls


def test_a_panorama_of_float_values(image):
    from panollava_hf.asking.models._panollava import PanoLLaVaChat

    chat = PanoLLaVaChat.load("embedded")
    chat.processor.image_processor.do_rescale = False
    evidence = explain(Answerer(chat), Panorama(image.float() / 255), "What colour is the cube?", "red")
    assert evidence.panorama.dtype == torch.uint8
    assert int((evidence.panorama.int() - image.int()).abs().max()) == 0
    assert integral(evidence.map) == pytest.approx(1, abs=2e-3)


def evidence_at(yaw, pitch, **more):
    spot = directions(torch.tensor(yaw), torch.tensor(pitch))
    values = torch.exp(-((angles_deg(_rays(90), spot[None])[0] / 15) ** 2))
    from panollava_hf.evidence._sphere import normalised

    fields = {"method": "gradient", "question": "What is it?", "answer": "a door", "seconds": 1.0, "calls": 8}
    pixels = torch.full((3, 100, 200), 128, dtype=torch.uint8)
    return Evidence(normalised(values), panorama=pixels, **(fields | more))


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (179.0, 20.0), (-30.0, 88.0)])
def test_peak_and_mass(yaw, pitch):
    evidence = evidence_at(yaw, pitch)
    peak = directions(*map(torch.tensor, evidence.peak))
    assert float(angles_deg(peak, directions(torch.tensor(yaw), torch.tensor(pitch))[None])) < 3
    assert evidence.mass(yaw, pitch, 30) > 0.9
    assert evidence.mass(0, 0, 180) == pytest.approx(1, abs=1e-4)
    assert evidence.mass(yaw + 180, -pitch, 30) < 0.01


def test_the_image_has_the_colours_where_the_evidence_is():
    image = evidence_at(179.0, 0.0).draw(800)
    assert image.width == 800
    assert 400 < image.height < 650
    colourful = np.asarray(image).astype(int).std(-1)[-250:-220]  # the panorama is grey
    assert colourful[:, :20].mean() > 2 * colourful[:, 380:420].mean()
    assert colourful[:, -20:].mean() > 2 * colourful[:, 380:420].mean(), "also on the other side of the seam"


@pytest.mark.parametrize("method", METHODS)
def test_images_of_any_text_and_size(method):
    for width, text in ((256, "x" * 500), (390, "Wie groß ist die Tür über mir?"), (1281, "<b>&amp;")):
        image = evidence_at(0.0, 0.0, question=text, answer=text, note=text[:200], method=method).draw(width)
        assert image.width in (width, width + 1)
    with pytest.raises(ValueError, match="width must be from 256 to 8192"):
        evidence_at(0.0, 0.0).draw(20)


def test_an_even_map_has_no_outline_and_no_peak():
    from PIL import ImageChops

    flat = Evidence(uniform(), "views", "What?", "", 1.0, 6, torch.full((3, 100, 200), 128, dtype=torch.uint8))
    image = flat.draw(512)
    assert image.size[0] == 512
    assert ImageChops.difference(image.crop((20, 150, 240, 200)), image.crop((260, 150, 480, 200))).getbbox() is None
