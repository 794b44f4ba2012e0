"""Models of transformers of many families, tiny and with random weights, through every strategy that they can take."""

import base64
import io
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers
from panollava_geometry import rotate_equirectangular
from panollava_hf import Answerer
from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import Reply, Request
from panollava_hf.asking._data_url import to_data_url
from panollava_hf.asking._families import FAMILIES, family_of
from panollava_hf.asking.models._transformers import TransformersChat
from panollava_hf.asking.strategies import STRATEGIES
from PIL import Image

from .seeing import COLOURS, panorama
from .tiny_vlm import TINY as FIRST
from .tiny_vlm import is_missing
from .tiny_vlm_more import MORE
from .tiny_vlm_others import OTHERS, llama4

TINY = FIRST | MORE | OTHERS
QUESTIONS = [
    "What is behind me?",
    "Where?",
    "Is there a red door to the left of the stairs?",
    "How many chairs are there",
]
SIZE = 56
#: The answers of these tiny models are nearly the same to all questions.
HARDLY_VARY = ("lfm2_vl", "qwen3_5", "qwen3_5_moe")


@pytest.fixture(scope="module", params=TINY)
def tiny(request):
    if is_missing(request.param):
        pytest.skip(f"transformers {transformers.__version__} has no {request.param}")
    return TINY[request.param]


@pytest.fixture(scope="module")
def chat(tiny):
    return TransformersChat(*tiny.build(), tiny.name)


@pytest.fixture
def sent(chat, monkeypatch):
    """The requests that the model receives."""
    requests, reply = [], chat.reply
    monkeypatch.setattr(chat, "reply", lambda batch, **more: requests.extend(batch) or reply(batch, **more))
    return requests


def asking(chat, strategy, **more):
    answerer = Answerer(chat, strategy=strategy, view_size=SIZE, **more)
    answerer.look = replace(answerer.look, max_description_tokens=4)
    return answerer


def takes(chat, strategy):
    return strategy != "views" or chat.family.max_images is None


def test_the_family_is_in_the_table(chat, tiny):
    assert chat.family is FAMILIES[{"pixtral": "llava"}.get(tiny.name, tiny.name)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_costs_what_was_announced(chat, tiny, sent, strategy):
    if not takes(chat, strategy):
        with pytest.raises(
            ChatError, match=r"shows 6 images in one prompt, but this model takes 1; use --strategy desc"
        ):
            asking(chat, strategy)
        return
    answerer = asking(chat, strategy)
    answer = answerer.answer(panorama(64), "What is behind me?", max_new_tokens=3)
    assert answer.calls == len(sent)
    announced = [chat.count(request) for request in sent]
    assert answer.prompt_tokens == sum(count.prompt for count in announced)
    if not chat.family.expands:
        assert answer.image_tokens is None
        return
    assert answer.image_tokens == sum(count.image for count in announced)
    if strategy == "views" and tiny.tokens is not None:
        assert answer.image_tokens == 6 * tiny.tokens
    assert 1 <= answer.new_tokens


def test_images_reach_the_model_in_the_order_of_their_labels(chat, tiny, sent):
    strategy = "views" if takes(chat, "views") else "describe"
    asking(chat, strategy, labels="text").answer(panorama(64), "Where?", max_new_tokens=1)
    asked = sent[:1] if strategy == "views" else sent[:6]
    seen = 0
    for request in asked:
        content = request.messages[-1]["content"]
        inputs = chat.inputs([request.messages])
        pixels = "pixel_values_images" if "pixel_values_images" in inputs else "pixel_values"
        values = inputs[pixels]
        pairs = [(text["text"], image) for text, image in pairwise(content) if image["type"] != "text"]
        rows = values.reshape(len(pairs), -1)
        for row, (text, part) in zip(rows, pairs, strict=True):
            image = Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))
            middle = np.asarray(image)[SIZE // 2, SIZE // 2].astype(int)
            named = re.match(r"Image \d: (\w+)", text)[1]
            wanted = {"up": "above", "down": "below", "above": "above", "below": "below"}.get(named, named)
            assert np.abs(middle - COLOURS[wanted][1]).max() < 20
            # Two copies, because some families cut a single image into tiles.
            copies = [[image] * (2 if len(pairs) > 1 else 1)]
            alone = chat.processor.image_processor(images=copies, return_tensors="pt")[pixels]
            torch.testing.assert_close(row, alone.reshape(len(copies[0]), -1)[0])
            seen += 1
    assert seen == 6


def test_a_batch_gives_each_panorama_its_single_answer(chat):
    strategy = "views" if takes(chat, "views") else "erp"
    answerer = asking(chat, strategy)
    panoramas = [rotate_equirectangular(panorama(64), yaw_deg=yaw) for yaw in (0.0, 50.0, 130.0, 250.0)]
    pairs = zip(panoramas, QUESTIONS, strict=True)
    single = [answerer.answer(one, question, max_new_tokens=6) for one, question in pairs]
    batch = answerer.answer_all(panoramas, QUESTIONS, range(4), max_new_tokens=6)
    assert [answer.text for answer in batch] == [answer.text for answer in single]
    assert [answer.new_tokens for answer in batch] == [answer.new_tokens for answer in single]
    assert [answer.prompt_tokens for answer in batch] == [answer.prompt_tokens for answer in single]
    assert [answer.image_tokens for answer in batch] == [answer.image_tokens for answer in single]
    assert len({answer.prompt_tokens for answer in batch}) == 4  # they were padded
    assert len({answer.text for answer in batch}) > 1 or chat.name in HARDLY_VARY


def test_the_image_reaches_the_text(chat):
    inputs = [chat.inputs([[message(image_part(colour))]]) for colour in ("red", "blue")]
    for one in inputs:
        chat.drop_unread(one)
    with torch.no_grad():
        red, blue = (chat.model(**one).logits[0, -1] for one in inputs)
    assert (red - blue).abs().max() > 1e-4


def test_one_beginning_of_sequence_at_most(chat):
    ids = chat.inputs([[message(image_part())]])["input_ids"][0].tolist()
    assert ids.count(chat.processor.tokenizer.bos_token_id) <= 1


def test_a_system_prompt_is_read_in_one_place_or_another(chat):
    system = {"role": "system", "content": "Be brief, please."}
    ids = chat.inputs([[system, message(image_part())]])["input_ids"][0]
    assert "Be brief, please." in chat.processor.tokenizer.decode(ids)


def test_what_is_streamed_is_the_answer(chat):
    strategy = "views" if takes(chat, "views") else "erp"
    pieces = []
    answer = asking(chat, strategy).answer(panorama(64), "Where?", max_new_tokens=6, on_text=pieces.append)
    assert "".join(pieces).strip() == answer.text


def test_a_saved_folder_gives_the_same_answer(chat, tmp_path):
    if chat.model.config.model_type == "lfm2-vl":
        pytest.skip("transformers 4.57 saves a model type that it cannot load")
    chat.model.save_pretrained(tmp_path)
    chat.processor.save_pretrained(tmp_path)
    loaded = Answerer.load(str(tmp_path), device="cpu", view_size=SIZE)
    assert (loaded.chat.device, loaded.chat.dtype) == ("cpu", "float32")
    own = Answerer(chat, view_size=SIZE).answer(panorama(64), "Where?", max_new_tokens=3, strategy="erp")
    answer = loaded.answer(panorama(64), "Where?", max_new_tokens=3, strategy="erp")
    for saved, read in ((chat.model.state_dict(), loaded.chat.model.state_dict()), buffers(chat, loaded.chat)):
        assert saved.keys() == read.keys()
        assert [name for name in saved if not torch.equal(saved[name], read[name])] == []
    assert (answer.prompt_tokens, answer.image_tokens) == (own.prompt_tokens, own.image_tokens)
    assert answer.text == own.text
    assert len(loaded.fingerprint()) == 64


def buffers(*chats):
    return [dict(chat.model.named_buffers()) for chat in chats]


def image_part(colour="red"):
    return {"type": "image_url", "image_url": {"url": to_data_url(Image.new("RGB", (SIZE, SIZE), colour))}}


def message(image):
    return {"role": "user", "content": [image, {"type": "text", "text": "Where?"}]}


def test_a_model_that_this_release_cannot_run():
    """Llama 4 raises an AttributeError in transformers 5.24; other releases answer."""
    chat = TransformersChat(*llama4(), "tiny llama4")
    (found,) = chat.reply([Request([message(image_part())], 3)])
    assert chat.count(Request([message(image_part())], 3)).image == 4
    assert isinstance(found, Reply) or "another release of transformers, or serve the model" in str(found)


def test_an_unknown_family_has_safe_settings():
    family = family_of("my_vlm")
    assert (family.name, family.labels, family.known) == ("my_vlm", "both", False)
