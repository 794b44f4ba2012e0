import torch
from panollava_hf.demo._sessions import Sessions, Shown
from panollava_hf.demo._stoppable import Control


def shown(name):
    return Shown(torch.zeros(3, 2, 4, dtype=torch.uint8), name.encode(), name)


def test_each_session_sees_its_own_panorama():
    sessions = Sessions(8)
    for name in ("a", "b"):
        sessions.of(name).show(shown(name))
    assert [sessions.of(name).shown.name for name in ("a", "b")] == ["a", "b"]
    tokens = [sessions.of(name).shown.token for name in ("a", "b")]
    assert [sessions.jpeg(token) for token in tokens] == [b"a", b"b"]
    assert len(set(tokens)) == 2
    assert min(map(len, tokens)) >= 32


def test_nothing_is_left_of_a_session():
    sessions = Sessions(8)
    session = sessions.of("a")
    session.show(shown("a"))
    token, control = session.shown.token, Control()
    session.control = control
    session.turns = [{"role": "user", "content": "secret"}]
    sessions.end("a")
    assert control.stopped
    assert sessions.jpeg(token) is None
    assert (session.shown, session.turns, session.answer, session.conversation) == (None, [], None, None)
    assert len(sessions) == 0


def test_another_panorama_forgets_what_was_said():
    session = Sessions(8).of("a")
    session.show(shown("a"))
    session.turns, session.control = [{"role": "user", "content": "?"}], Control()
    running = session.control
    session.show(shown("b"))
    assert running.stopped
    assert session.turns == []


def test_without_a_key_nothing_is_shared():
    sessions = Sessions(8)
    sessions.of(None).show(shown("a"))
    assert sessions.of(None).shown is None
    assert len(sessions) == 0


def test_the_least_used_session_ends_when_there_are_too_many():
    sessions = Sessions(2)
    for name in "abc":
        sessions.of(name).show(shown(name))
        if name == "b":
            sessions.of("a")  # used again
    assert {session.shown.name for session in sessions} == {"a", "c"}
