"""What is announced is what is then used."""

import pytest
import torch
from panollava_geometry import PerspectiveView, ViewPlan
from panollava_hf import Answerer
from panollava_hf._errors import ChatError, UsageError
from panollava_hf.asking import Budget
from panollava_hf.asking._families import Family
from panollava_hf.asking._frame import LOOK_AROUND
from panollava_hf.asking.strategies import STRATEGIES

from .seeing import Seeing, asked, panorama, with_patch

LEFT_AND_RIGHT = [asked("left"), asked("right")]


def used(answers):
    """Sums over what the answers report."""
    names = ("calls", "image_tokens", "prompt_tokens", "new_tokens")
    return {name: sum(getattr(answer, name) for answer in answers) for name in names}


@pytest.mark.parametrize("plan", [LOOK_AROUND, ViewPlan([PerspectiveView(0.0), PerspectiveView(-90.0)])])
@pytest.mark.parametrize("size", [64, 100])
@pytest.mark.parametrize("strategy", ["views", "describe"])
def test_announced_equals_used(strategy, size, plan):
    model = Seeing()
    answerer = Answerer(model, strategy=strategy, view_size=size, plan=plan)
    questions = [asked("left"), asked("ahead")]
    cost = answerer.cost(panorama(), questions)
    assert model.requests == []
    found = answerer.answer_all([panorama()], questions, [0, 0])
    assert used(found)["calls"] == cost.calls == len(model.requests)
    assert used(found)["image_tokens"] == cost.image_tokens
    assert used(found)["prompt_tokens"] <= cost.prompt_tokens
    assert used(found)["new_tokens"] <= cost.new_tokens
    assert [answer.image_tokens for answer in found] == [usage.image_tokens for usage in cost.questions]
    assert [answer.calls for answer in found] == [usage.calls for usage in cost.questions]
    if strategy == "views":
        assert used(found)["prompt_tokens"] == cost.prompt_tokens


def test_figures_by_hand():
    """A view of 64² has 25 patches of 14², the whole panorama of 512x256 has 19 x 37."""
    cost = Answerer(Seeing(), strategy="describe").cost(panorama(), LEFT_AND_RIGHT, max_new_tokens=10)
    assert (cost.calls, cost.images) == (6 + 2, 6 + 2)
    assert cost.image_tokens == 6 * 25 + 2 * 19 * 37
    assert cost.new_tokens == 6 * 128 + 2 * 10
    assert cost.prompt_tokens > cost.image_tokens + 2 * 6 * 128  # both questions come with descriptions
    assert [usage.calls for usage in cost.questions] == [7, 1]
    views = Answerer(Seeing(), strategy="views").cost(panorama(), LEFT_AND_RIGHT)
    assert (views.calls, views.images, views.image_tokens) == (2, 12, 2 * 6 * 25)
    erp = Answerer(Seeing(), strategy="erp").cost(panorama(), LEFT_AND_RIGHT)
    assert (erp.calls, erp.images, erp.image_tokens) == (2, 2, 2 * 19 * 37)


REPLIES = [
    "none",
    "yaw 20, pitch 0, width 30",
    "yaw 90, pitch 0",
    "yaw 20, pitch 0, width 30\nyaw -150, pitch 40\nbelow",
    "yaw 20, pitch 0, width 30\nyaw 30, pitch 0, width 30\nyaw 12, pitch 0, width 30",
]


@pytest.mark.parametrize("regions", REPLIES)
@pytest.mark.parametrize("limit", [None, 1, 2])
@pytest.mark.parametrize("size", [64, 700])
def test_zoom_uses_no_more_than_announced(regions, limit, size):
    """Also where the whole panorama has more tokens than all regions together, or fewer."""
    model = Seeing(regions=regions, family=Family("seeing", view_size=size, max_images=limit))
    answerer = Answerer(model, strategy="zoom")
    shown = with_patch("cyan", 20, 0, radius_deg=14.0, height=128)
    cost = answerer.cost(shown, ["What colour is the patch?"])
    answer = answerer.answer(shown, "What colour is the patch?")
    for name, amount in used([answer]).items():
        assert amount <= getattr(cost, name), name
    assert len(model.requests) == answer.calls
    assert cost.calls == 6 + 1 + 3 + (3 if limit in (1, 2) else 0) + 1


def test_the_table():
    text = str(Answerer(Seeing(), strategy="describe").cost(panorama(), LEFT_AND_RIGHT, max_new_tokens=10))
    assert text.splitlines()[0] == "Strategy describe, 6 views of 64 x 64 pixels, 2 questions:"
    rows = {line.split()[0]: line.split()[1:4] for line in text.splitlines()[1:-1]}
    assert rows["describe"] == ["6", "6", "150"]
    assert rows["answer"] == ["2", "2", "1,406"]
    assert rows["total"] == ["8", "8", "1,556"]
    assert len({len(line) for line in text.splitlines()[1:-1]}) == 1
    assert "upper limits" in text.splitlines()[-1]


def test_a_model_that_does_not_count():
    answerer = Answerer(Seeing(counts=False), strategy="describe")
    cost = answerer.cost(panorama(), LEFT_AND_RIGHT)
    assert (cost.calls, cost.images, cost.image_tokens, cost.prompt_tokens, cost.tokens) == (8, 8, None, None, None)
    assert "unknown" in str(cost)
    assert "does not count the tokens of a prompt" in str(cost)
    with pytest.raises(ChatError, match=r"counts the tokens .* give the budget in calls \(describe takes 8\)"):
        answerer.answer_all([panorama()], LEFT_AND_RIGHT, [0, 0], budget=Budget.parse("20k"))
    assert len(answerer.answer_all([panorama()], LEFT_AND_RIGHT, [0, 0], budget=Budget.parse("8calls"))) == 2


def test_costs_of_panoramas_add_up():
    answerer = Answerer(Seeing(), strategy="describe")
    one, two = answerer.cost(panorama(), LEFT_AND_RIGHT), answerer.cost(panorama(128), LEFT_AND_RIGHT[:1])
    both = one + two
    assert (both.calls, both.image_tokens) == (15, one.image_tokens + two.image_tokens)
    assert both.total == one.total + two.total
    assert both.steps["describe"].calls == 12
    assert both.to_dict()["calls"] == 15
    assert len(both.to_dict()["questions"]) == 3


@pytest.mark.parametrize(
    ("text", "calls", "tokens"),
    [
        ("20000", None, 20000),
        ("20000tokens", None, 20000),
        ("20k", None, 20000),
        ("1.5M tokens", None, 1_500_000),
        ("12calls", 12, None),
        ("1 call", 1, None),
        ("12calls,20000tokens", 12, 20000),
        (" 20k , 12 Calls ", 12, 20000),
    ],
)
def test_budgets(text, calls, tokens):
    assert Budget.parse(text) == Budget(calls, tokens)


@pytest.mark.parametrize(
    "text",
    ["", "0", "-3", "12 dollars", "calls", "20,000", "1.5calls", "12calls,13calls", "1e5", "9" * 400, "3calls;4"],
)
def test_what_is_no_budget_is_one_line(text):
    with pytest.raises(UsageError, match="for example 20000, 20k, 12calls or 12calls,20000tokens") as caught:
        Budget.parse(text)
    assert len(str(caught.value)) < 250


def test_a_budget_that_does_not_suffice_names_what_does():
    model = Seeing()
    answerer = Answerer(model, strategy="describe")
    with pytest.raises(
        ChatError,
        match=r"describe takes up to 7 calls and .* tokens, but the budget is 5 calls; use --strategy views \(",
    ):
        answerer.answer(panorama(), asked("left"), budget=Budget.parse("5calls"))
    with pytest.raises(ChatError, match=r"budget is 10 tokens; no other strategy fits, or raise the budget"):
        answerer.answer(panorama(), asked("left"), budget=Budget.parse("10"))
    assert model.requests == []
    assert answerer.answer(panorama(), asked("left"), budget=Budget(7, 10_000)).text == "red"
    cost = answerer.cost(panorama(), [asked("left")])
    assert answerer.answer(panorama(), asked("left"), budget=Budget(tokens=cost.tokens)).text == "red"
    with pytest.raises(ChatError):
        answerer.answer(panorama(), asked("left"), budget=Budget(tokens=cost.tokens - 1))


def test_a_budget_holds_for_all_panoramas_together():
    answerer = Answerer(Seeing(), strategy="describe")
    shown = [panorama(), panorama(128)]
    with pytest.raises(ChatError, match="up to 14 calls"):
        answerer.answer_all(shown, LEFT_AND_RIGHT, [0, 1], budget=Budget(calls=13))
    assert len(answerer.answer_all(shown, LEFT_AND_RIGHT, [0, 1], budget=Budget(calls=14))) == 2


def test_the_embedded_checkpoint():
    answerer = Answerer.load("embedded")
    gray = torch.full((3, 64, 128), 127, dtype=torch.uint8)
    questions = ["How many cubes are there?", "Where is the red cube?"]
    cost = answerer.cost(gray, questions, max_new_tokens=4)
    found = answerer.answer_all([gray], questions, [0, 0], max_new_tokens=4)
    assert used(found)["prompt_tokens"] == cost.prompt_tokens
    assert used(found)["image_tokens"] == cost.image_tokens
    assert (cost.calls, cost.new_tokens) == (2, 8)
    assert (cost.views, *cost.size) == (len(found[0].views), *found[0].views.shape[-2:])
    assert set(STRATEGIES) == {"views", "describe", "zoom", "erp"}
