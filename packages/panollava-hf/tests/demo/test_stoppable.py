import functools
import threading

import pytest
import torch
from panollava_hf._errors import ChatError
from panollava_hf.asking import Answerer
from panollava_hf.asking.models._transformers import TransformersChat
from panollava_hf.demo._stoppable import Control, StoppableChat, Stopped
from standins import Talker
from tiny_vlm import TINY

GREY = torch.full((3, 64, 128), 127, dtype=torch.uint8)


class StopsAfter(Control):
    """A control that stops after some checks."""

    def __init__(self, checks):
        super().__init__()
        self.left = checks

    @property
    def stopped(self):
        self.left -= 1
        return self.left < 0


def test_a_checkpoint_stops_after_the_next_token(embedded, monkeypatch):
    passes = []
    forward = type(embedded.model).forward

    @functools.wraps(forward)  # generate reads its arguments
    def counted(*args, **named):
        passes.append(1)
        return forward(*args, **named)

    monkeypatch.setattr(type(embedded.model), "forward", counted)
    chat = StoppableChat(embedded.chat)
    whole = Answerer(chat).answer(GREY, "How many?", max_new_tokens=40, min_new_tokens=40)
    assert whole.new_tokens == 40
    count = len(passes)
    passes.clear()
    chat.control = StopsAfter(8)
    with pytest.raises(Stopped):
        Answerer(chat).answer(GREY, "How many?", max_new_tokens=40, min_new_tokens=40)
    assert 1 <= len(passes) <= 12 < count


def test_the_answer_is_the_same_as_without(embedded, rendered):
    from panollava_hf.panoshapes import sample_scene

    image = rendered(sample_scene(18, "test", 54), 512)
    questions = ("Where is the green cone?", "How many blue objects can you see?", "What is to the left?")
    for question in questions:
        assert (
            Answerer(StoppableChat(embedded.chat)).answer(image, question).text == embedded.answer(image, question).text
        )


def test_a_request_outside_this_process_is_left_at_once_and_ends_at_its_next_word():
    gate = threading.Event()
    talker = Talker(["word"] * 1000, gate)
    chat = StoppableChat(talker)
    failed = []

    def ask():
        with pytest.raises(Stopped):
            Answerer(chat).answer(GREY, "What?")
        failed.append(True)

    thread = threading.Thread(target=ask)
    thread.start()
    assert talker.started.wait(10)
    chat.control.stop()
    thread.join(5)  # the model has not said a word yet
    assert failed == [True]
    gate.set()
    assert talker.ended.wait(10)
    assert len(talker.said) == 1


def test_steps_are_reported():
    talker = Talker()
    chat = StoppableChat(talker)
    steps = []
    chat.control = Control(steps.append)
    Answerer(chat, strategy="describe").answer(GREY, "What?")
    assert steps == ["Describing 6 views", "Answering"]


def test_errors_of_the_model_come_through():
    error = ChatError("the server is away")
    with pytest.raises(ChatError, match="away"):
        Answerer(StoppableChat(Talker(error=error))).answer(GREY, "What?")


def test_it_is_what_the_model_is(embedded):
    chat = StoppableChat(embedded.chat)
    for name in ("name", "family", "device", "dtype", "trained", "model", "processor", "batch_size", "max_positions"):
        assert getattr(chat, name) is getattr(embedded.chat, name) or getattr(chat, name) == getattr(
            embedded.chat, name
        )


def test_a_model_of_transformers_streams_and_stops():
    """A tiny model with random weights; in `describe`, the calls before the answer are stopped, too."""
    model, processor = TINY["internvl"].build()
    chat = StoppableChat(TransformersChat(model, processor, "tiny"))
    pieces = []
    whole = Answerer(chat, view_size=56).answer(
        GREY, "What?", max_new_tokens=30, min_new_tokens=30, on_text=pieces.append
    )
    assert whole.new_tokens == 30

    def stop(piece):
        chat.control.stop()

    with pytest.raises(Stopped):
        Answerer(chat, view_size=56).answer(GREY, "What?", max_new_tokens=30, min_new_tokens=30, on_text=stop)
    chat.control = StopsAfter(5)
    with pytest.raises(Stopped):
        Answerer(chat, view_size=56, strategy="describe").answer(GREY, "What?")
