import asyncio
import threading

import pytest
import torch
from panollava_hf._errors import ChatError, PanoLLaVaError, UsageError
from panollava_hf.asking import Answerer
from panollava_hf.demo._events import NO_PANORAMA, RUNNING, Events
from panollava_hf.demo._line import Done, Progress
from panollava_hf.demo._loading import prepare
from panollava_hf.demo._models import DEFAULT_PLAN, OWN_VIEWS, Models
from panollava_hf.demo._settings import DemoSettings
from panollava_hf.demo._stoppable import Stopped
from panollava_hf.panoshapes import sample_scene
from standins import Talker


@pytest.fixture(scope="module")
def checkpoint_events(embedded):
    return Events(Models([embedded]), DemoSettings())


def show(events, key, image):
    events.sessions.of(key).show(prepare(image, key))


async def asked(events, key, question, model="embedded", strategy="views", plan=OWN_VIEWS, length=16):
    return [event async for event in events.ask(key, question, model, strategy, plan, length)]


def test_an_answer_has_its_views_hot_spots_and_cost(checkpoint_events, rendered, at_back):
    scene, truth = at_back[0]
    show(checkpoint_events, "a", rendered(scene))
    (*_, done) = asyncio.run(asked(checkpoint_events, "a", "Which object is to the back?"))
    answer = done.value.answer
    assert (answer.text, len(answer.plan), answer.image_tokens) == (truth.name, 6, 150)
    (spot,) = done.value.spots
    assert abs((spot.yaw_deg - truth.yaw_deg + 180) % 360 - 180) < 2
    assert done.seconds > 0
    assert checkpoint_events.sessions.of("a").control is None


def test_sessions_are_answered_about_their_own_panoramas(checkpoint_events, rendered, at_back):
    scenes = dict(zip("bc", at_back, strict=True))
    for key, (scene, _) in scenes.items():
        show(checkpoint_events, key, rendered(scene))

    async def ask():
        keys = ["b", "c"] * 4
        found = await asyncio.gather(*(asked_once(key) for key in keys))
        return list(zip(keys, found, strict=True))

    async def asked_once(key):
        while True:
            if checkpoint_events.sessions.of(key).control is None:
                return (await asked(checkpoint_events, key, "Which object is to the back?"))[-1].value.answer.text
            with pytest.raises(PanoLLaVaError, match=RUNNING):
                await asked(checkpoint_events, key, "Which object is to the back?")
            await asyncio.sleep(0.01)

    assert all(text == scenes[key][1].name for key, text in asyncio.run(ask()))


def talking(talker, **settings):
    events = Events(Models([Answerer(talker)]), DemoSettings(**settings))
    show(events, "a", torch.full((3, 64, 128), 127, dtype=torch.uint8))
    return events


def test_text_is_streamed_and_a_stop_ends_the_model():
    gate = threading.Event()
    talker = Talker(["word"] * 500, gate, free=2)
    events = talking(talker)

    async def ask():
        texts = []
        async for event in events.ask("a", "What?", "talker", "views", DEFAULT_PLAN, 64):
            texts.append(event.text)
            if event.text:
                events.stop("a")
        return texts

    with pytest.raises(Stopped):
        asyncio.run(ask())
    gate.set()
    assert talker.ended.wait(10)
    assert len(talker.said) <= 3
    assert events.sessions.of("a").control is None


def test_a_closed_page_stops_its_question():
    gate = threading.Event()
    talker = Talker(["word"] * 500, gate)
    events = talking(talker)

    async def ask():
        async for event in events.ask("a", "What?", "talker", "views", DEFAULT_PLAN, 64):
            if isinstance(event, Progress) and talker.started.is_set():
                events.sessions.end("a")

    with pytest.raises(Stopped):
        asyncio.run(ask())
    gate.set()
    assert talker.ended.wait(10)
    assert len(talker.said) <= 1
    assert len(events.sessions) == 0


def test_later_questions_continue_the_conversation_until_something_is_changed():
    talker = Talker()
    events = talking(talker)
    for question in ("First?", "Second?"):
        assert isinstance(asyncio.run(asked(events, "a", question, "talker", "views", DEFAULT_PLAN))[-1], Done)
    assert len(talker.requests[-1].messages) == 3
    asyncio.run(asked(events, "a", "Third?", "talker", "erp", DEFAULT_PLAN))
    assert len(talker.requests[-1].messages) == 1
    events.new_chat("a")
    asyncio.run(asked(events, "a", "Fourth?", "talker", "erp", DEFAULT_PLAN))
    assert len(talker.requests[-1].messages) == 1


@pytest.mark.parametrize(
    ("key", "question", "model", "plan", "sentence"),
    [
        ("other", "What?", "talker", DEFAULT_PLAN, NO_PANORAMA),
        ("a", "  ", "talker", DEFAULT_PLAN, "write a question first"),
        ("a", "What?", "gpt", DEFAULT_PLAN, "is not a model of this page"),
        ("a", "What?", "talker", "9 views", "is not a view plan of this page"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(key, question, model, plan, sentence):
    events = talking(Talker())
    with pytest.raises(PanoLLaVaError, match=sentence):
        asyncio.run(asked(events, key, question, model, "views", plan))
    assert events.sessions.of(key).control is None


def test_an_error_of_the_model_leaves_the_session_as_it_was():
    talker = Talker(error=ChatError("the server is away"))
    events = talking(talker)
    with pytest.raises(ChatError, match="away"):
        asyncio.run(asked(events, "a", "What?", "talker", "views", DEFAULT_PLAN))
    talker.error = None
    (*_, done) = asyncio.run(asked(events, "a", "What?", "talker", "views", DEFAULT_PLAN))
    assert done.value.answer.text == "one two three"


def test_the_evidence_is_for_the_last_answer(checkpoint_events, rendered):
    show(checkpoint_events, "e", rendered(sample_scene(18, "test", 54)))

    async def explain():
        return [event async for event in checkpoint_events.explain("e", "embedded", "best for this model")][-1]

    with pytest.raises(PanoLLaVaError, match="ask a question first"):
        asyncio.run(explain())
    asyncio.run(asked(checkpoint_events, "e", "What colour is the sphere?"))
    evidence = asyncio.run(explain()).value
    assert evidence.map.shape[1] == 2 * evidence.map.shape[0]


def test_a_guess_has_no_hot_spots_and_no_evidence(checkpoint_events, rendered):
    show(checkpoint_events, "u", rendered(sample_scene(18, "test", 54)))

    async def last(events):
        return [event async for event in events][-1]

    (*_, done) = asyncio.run(asked(checkpoint_events, "u", "Is the door behind the red cube?"))
    assert "'door'" in done.value.answer.unknown
    assert (done.value.spots, done.value.note) == ([], "")
    with pytest.raises(PanoLLaVaError, match=r"there is no answer to explain: .*'door'"):
        asyncio.run(last(checkpoint_events.explain("u", "embedded", "best for this model")))
    with pytest.raises(PanoLLaVaError, match="'door'"):
        asyncio.run(last(checkpoint_events.find("u", "the red door", "embedded")))
    show(checkpoint_events, "u", torch.full((3, 64, 128), 127, dtype=torch.uint8))
    (*_, done) = asyncio.run(asked(checkpoint_events, "u", "Where is the red cube?"))
    assert "unlike" in done.value.answer.unknown
    assert done.value.spots == []
    with pytest.raises(PanoLLaVaError, match="unlike"):
        asyncio.run(last(checkpoint_events.find("u", "the red cube", "embedded")))


def test_models_and_what_they_can_be_asked_with(embedded):
    models = Models([embedded, Answerer(Talker())])
    assert models.strategies("embedded") == ["views"]
    assert models.plans("embedded") == [OWN_VIEWS]
    assert set(models.strategies("talker")) == {"views", "describe", "zoom", "erp"}
    assert len(models.plans("talker")) > 1
    with pytest.raises(UsageError, match="different names"):
        Models([embedded, embedded])
    models.close()
