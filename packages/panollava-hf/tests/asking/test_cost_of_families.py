"""Dry runs of tiny models of many families: what is announced is what the model then reads."""

from dataclasses import replace

import pytest
import transformers
from panollava_hf import Answerer
from panollava_hf.asking.models._transformers import TransformersChat
from panollava_hf.asking.strategies import STRATEGIES

from .seeing import panorama
from .tiny_vlm import TINY, is_missing

QUESTIONS = ["What is behind me?", "Where?"]


@pytest.fixture(scope="module", params=TINY)
def chat(request):
    if is_missing(request.param):
        pytest.skip(f"transformers {transformers.__version__} has no {request.param}")
    return TransformersChat(*TINY[request.param].build(), request.param)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_announced_equals_used(chat, strategy):
    if strategy == "views" and chat.family.max_images is not None:
        pytest.skip(f"{chat.name} takes {chat.family.max_images} image in a prompt")
    answerer = Answerer(chat, strategy=strategy, view_size=56)
    answerer.look = replace(answerer.look, max_description_tokens=4)
    cost = answerer.cost(panorama(64), QUESTIONS, max_new_tokens=3)
    found = answerer.answer_all([panorama(64)], QUESTIONS, [0, 0], max_new_tokens=3)
    calls, images = [answer.calls for answer in found], [answer.image_tokens for answer in found]
    announced = [usage.calls for usage in cost.questions], [usage.image_tokens for usage in cost.questions]
    if strategy == "zoom":
        assert sum(calls) <= cost.calls
        assert None in images or sum(images) <= cost.image_tokens
    else:
        assert (calls, images) == announced
    assert sum(answer.prompt_tokens for answer in found) <= cost.prompt_tokens
    assert sum(answer.new_tokens for answer in found) <= cost.new_tokens
