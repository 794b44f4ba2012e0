import pytest
from panollava_hf import Answerer
from panollava_hf._errors import ChatError, TextError
from panollava_hf.asking import Conversation

from .seeing import Seeing, asked, panorama


def said(request):
    """Role and last text of each message."""
    return [
        (m["role"], m["content"] if isinstance(m["content"], str) else m["content"][-1]["text"])
        for m in request.messages
    ]


@pytest.mark.parametrize("strategy", ["views", "describe", "zoom"])
def test_later_questions_continue_the_last_call(strategy):
    model = Seeing()
    conversation = Conversation(Answerer(model, strategy=strategy), panorama())
    first = conversation.ask(asked("left"))
    sent = len(model.requests)
    second, third = conversation.ask(asked("right")), conversation.ask(asked("above"))
    assert [answer.text for answer in (first, second, third)] == ["red", "blue", "white"]
    assert (second.calls, third.calls, len(model.requests)) == (1, 1, sent + 2)
    assert said(model.requests[-1]) == [
        ("user", asked("left")),
        ("assistant", "red"),
        ("user", asked("right")),
        ("assistant", "blue"),
        ("user", asked("above")),
    ]
    assert model.requests[-1].messages[0] == model.requests[sent - 1].messages[0]
    assert third.plan == first.plan
    assert third.messages == model.requests[-1].messages
    assert (second.note, third.note) == ("", "")


def test_reset_forgets_the_questions_and_keeps_the_descriptions():
    model = Seeing()
    conversation = Conversation(Answerer(model, strategy="describe"), panorama())
    conversation.ask(asked("left"))
    conversation.reset()
    assert conversation.turns == ()
    answer = conversation.ask(asked("right"))
    assert (answer.text, answer.calls) == ("blue", 1)
    assert said(model.requests[-1]) == [("user", asked("right"))]


def test_old_turns_are_left_out_and_reported():
    model = Seeing()
    conversation = Conversation(Answerer(model, strategy="views"), panorama(), max_turns=2)
    for name in ("left", "right", "above"):
        assert conversation.ask(asked(name)).note == ""
    answer = conversation.ask(asked("below"))
    assert answer.note == "the conversation became too long: the oldest question and its answer were left out"
    assert [text for role, text in said(model.requests[-1]) if role == "user"] == [
        asked(name) for name in ("right", "above", "below")
    ]
    assert len(model.requests[-1].messages[0]["content"]) == 14  # all images are still there
    assert answer.text == "black"


def test_turns_that_the_model_has_no_positions_for_are_left_out():
    class Config:
        max_position_embeddings = 420

        def get_text_config(self):
            return self

    model = Seeing()
    model.model = type("Model", (), {"config": Config()})()
    answerer = Answerer(model, strategy="views")
    conversation = Conversation(answerer, panorama())
    answer = conversation.ask(asked("left"), max_new_tokens=8)
    while not answer.note and len(conversation.turns) < 40:
        answer = conversation.ask(asked("left"), max_new_tokens=8)
        assert model.count(model.requests[-1]).prompt + 8 <= 420
        assert answer.text == "red"
    assert len(conversation.turns) > 2
    assert "left out" in answer.note


def test_a_question_that_fails_leaves_the_conversation_as_it_was():
    model = Seeing()
    conversation = Conversation(Answerer(model, strategy="views"), panorama())
    model.failing = ("left",)
    with pytest.raises(ChatError):
        conversation.ask(asked("left"))
    conversation.ask(asked("right"))
    with pytest.raises(ChatError):
        conversation.ask(asked("left"))
    with pytest.raises(TextError):
        conversation.ask(" ")
    assert conversation.turns == ((asked("right"), "blue"),)


def test_every_answer_is_streamed():
    model, pieces = Seeing(), []
    conversation = Conversation(Answerer(model, strategy="describe"), panorama())
    for name in ("left", "right"):
        conversation.ask(asked(name), on_text=pieces.append)
    assert pieces == ["red", "blue"]


def test_a_panollava_checkpoint_gets_each_question_by_itself(scene_panorama):
    answerer = Answerer.load("embedded")
    conversation = Conversation(answerer, scene_panorama)
    questions = ["Where is the red cube?", "How many cubes are there?"]
    found = [conversation.ask(question, max_new_tokens=4).text for question in questions]
    assert found == [answerer.answer(scene_panorama, question, max_new_tokens=4).text for question in questions]
    assert not any(conversation.ask(question, max_new_tokens=4).unknown for question in questions)


def test_a_limit_below_zero_is_refused():
    with pytest.raises(ValueError, match="max_turns must be 0 or more, got -1"):
        Conversation(Answerer(Seeing()), panorama(), max_turns=-1)
    lonely = Conversation(Answerer(Seeing(), strategy="views"), panorama(), max_turns=0)
    assert [lonely.ask(asked(name)).text for name in ("left", "right")] == ["red", "blue"]
