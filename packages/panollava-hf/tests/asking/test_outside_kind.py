"""A kind of model, a strategy and a family from outside of PanoLLaVA: each in one place, without a change to it."""

import pytest
from panollava_geometry import PerspectiveView, ViewPlan
from panollava_hf import Answerer
from panollava_hf._errors import ChatError
from panollava_hf.asking import Budget, Conversation
from panollava_hf.asking._chat import ChatDefaults, PromptTokens, Reply, parts_of
from panollava_hf.asking._families import Family
from panollava_hf.asking._messages import view_messages
from panollava_hf.asking.strategies import STRATEGIES
from panollava_hf.asking.strategies._look import finish

from .seeing import COLOURS, colour_of, panorama


class Painter(ChatDefaults):
    """A kind of model: it names the colour in the middle of the last image, and keeps nothing else."""

    name, device, dtype, trained = "painter", "cpu", "none", True
    family = Family("painter", view_size=32, strategy="views", max_images=6)

    def reply(self, requests, *, on_text=None):
        return [Reply(self._colour(request), 7, 4, 1) for request in requests]

    def _colour(self, request):
        parts = [part for message in request.messages for part in parts_of(message)]
        return colour_of([part for part in parts if part["type"] == "image_url"][-1])


class Counting(Painter):
    """The same, and it counts the tokens of a prompt before it is sent."""

    def count(self, request):
        return PromptTokens(7, 4)


def backwards(panorama, question, look):
    """A strategy: one view, of what is behind."""
    plan = ViewPlan([PerspectiveView(180.0)])
    views = panorama.views(plan, look.size)
    return (yield from finish(view_messages(views, ["behind"], question), views, plan, look))


@pytest.fixture
def strategy(monkeypatch):
    monkeypatch.setitem(STRATEGIES, "backwards", backwards)
    return "backwards"


def test_a_kind_is_one_class():
    answer = Answerer(Painter()).answer(panorama(), "What is it?")
    assert answer.text == COLOURS["below"][0]  # the last of the six views
    assert (answer.calls, answer.views.shape, answer.image_tokens) == (1, (6, 3, 32, 32), 4)
    answerer = Answerer(Painter())
    assert (answerer.model, answerer.processor, answerer.max_positions, answerer.fingerprint()) == (None,) * 4
    assert list(Painter().reply_batches([], [])) == []


def test_it_describes_converses_and_is_estimated():
    answerer = Answerer(Painter(), strategy="describe")
    assert answerer.answer(panorama(), "What is it?").calls == 7
    captions = answerer.caption(panorama(), per_view=True)
    assert [caption.text for caption in captions] == [COLOURS[name][0] for name in COLOURS]
    assert [Conversation(answerer, panorama()).ask("And there?").calls] == [7]
    cost = answerer.cost(panorama(), ["What is it?"])
    assert (cost.calls, cost.tokens) == (7, None)
    assert Answerer(Counting()).cost(panorama(), ["What is it?"]).image_tokens == 4


def test_a_strategy_is_one_function(strategy):
    answerer = Answerer(Counting(), strategy=strategy)
    answer = answerer.answer(panorama(), "What is it?")
    assert (answer.text, answer.strategy) == (COLOURS["behind"][0], "backwards")
    assert answerer.cost(panorama(), ["What is it?"]).calls == 1
    with pytest.raises(ChatError, match=r"use --strategy .*backwards"):
        Answerer(Counting(), strategy="describe").answer(panorama(), "What is it?", budget=Budget(calls=1))


def test_an_unknown_strategy_is_an_error_that_names_all(strategy):
    with pytest.raises(ChatError, match=r"unknown strategy 'forwards'; expected one of .*erp, backwards"):
        Answerer(Painter(), strategy="forwards")


def test_a_family_is_one_line():
    """What the line says decides: the size of a view, the strategy, and how many images a prompt may hold."""
    model = Painter()
    model.family = Family("narrow", view_size=48, strategy="describe", max_images=1)
    answerer = Answerer(model)
    assert (answerer.strategy, answerer.look.size) == ("describe", (48, 48))
    with pytest.raises(ChatError, match="this model takes 1"):
        Answerer(model, strategy="views")
