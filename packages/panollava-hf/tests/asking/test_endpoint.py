"""A loopback server that speaks the OpenAI protocol, and fails in the ways that servers do."""

import http.server
import json
import threading
from contextlib import contextmanager

import pytest

pytest.importorskip("openai")

from panollava_hf._errors import ChatError
from panollava_hf.asking._endpoint import EndpointChat

KEY = "sk-secret-key-of-the-test"
QUESTION = [[{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]]


def completion(text="a door", **message):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


@contextmanager
def server(*answers):
    """Serve the answers in turn, the last one for all further requests. An answer is a function of the handler."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_POST(self):
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answers[min(len(requests), len(answers)) - 1](self)

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/v1", requests
    finally:
        httpd.shutdown()
        httpd.server_close()


def status(code, body=None, **headers):
    def answer(handler):
        data = json.dumps(body or {"error": {"message": f"failed with {KEY}"}}).encode()
        handler.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def raw(data, content_type="application/json"):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def fine(text="a door", **message):
    return status(200, completion(text, **message))


def ask(url, **options):
    chat = EndpointChat("m", url, api_key=KEY, **{"max_retries": 2, "timeout": 5.0, **options})
    return chat.reply(QUESTION, max_new_tokens=8)[0]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    import openai._base_client as client

    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)


def test_reply_and_its_cost():
    with server(fine()) as (url, requests):
        reply = ask(url)
    assert (reply.text, reply.prompt_tokens, reply.new_tokens) == ("a door", 7, 2)
    assert requests[0]["model"] == "m"
    assert requests[0]["messages"] == QUESTION[0]


@pytest.mark.parametrize(
    "failures",
    [[status(500), status(500)], [status(429, Retry_After="1")], [status(503)], [status(408)]],
    ids=["500 twice", "429", "503", "408"],
)
def test_passing_failures_are_retried(failures):
    with server(*failures, fine()) as (url, requests):
        assert ask(url).text == "a door"
    assert len(requests) == len(failures) + 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(401), r"key was refused \(401\); set OPENAI_API_KEY"),
        (status(429), r"too many requests \(429\)"),
        (status(500), "answered 500"),
        (status(404), "answered 404"),
        (status(400, {"error": {"message": "this model does not take images"}}), "does not take images"),
        (raw(b"{not json"), "cannot be read"),
        (raw(b"<html>welcome</html>", "text/html"), "no choices|cannot be read"),
        (raw(b"[]"), "cannot be read|no choices"),
        (raw(b'{"choices": []}'), "no choices"),
        (fine(None, refusal="I cannot help with that."), "refused to answer: I cannot help"),
        (status(200, {**completion(), "choices": [{"index": 0, "finish_reason": None, "message": {}}]}), "cut off"),
    ],
)
def test_failures_are_one_line_without_the_key(answer, message):
    with server(answer) as (url, _), pytest.raises(ChatError, match=message) as caught:
        ask(url)
    text = str(caught.value)
    assert "\n" not in text
    assert KEY not in text
    assert len(text) < 400


def test_unreachable_server():
    with server(fine()) as (url, _):
        pass
    with pytest.raises(ChatError, match="connection failed"):
        ask(url, max_retries=0)


@pytest.mark.parametrize(
    "answer",
    [fine("<think>It is red.</think>\nA door."), fine("A door.", reasoning_content="It is red.")],
    ids=["tags", "field"],
)
def test_reasoning_is_no_part_of_the_answer(answer):
    with server(answer) as (url, _):
        reply = ask(url)
    assert (reply.text, reply.reasoning) == ("A door.", "It is red.")


def chunk(text=None, reason=None):
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


def events(*chunks, done=True):
    lines = [f"data: {json.dumps(one)}\n\n" for one in chunks] + ["data: [DONE]\n\n"] * done
    return raw("".join(lines).encode(), "text/event-stream")


def test_stream():
    pieces = []
    with server(events(chunk("a "), chunk("door"), chunk(reason="stop"))) as (url, requests):
        chat = EndpointChat("m", url, api_key=KEY)
        reply = chat.reply(QUESTION, max_new_tokens=8, on_text=pieces.append)[0]
    assert (reply.text, pieces) == ("a door", ["a ", "door"])
    assert requests[0]["stream"] is True


def test_cut_stream():
    with server(events(chunk("a "), done=False)) as (url, _), pytest.raises(ChatError, match="cut off"):
        EndpointChat("m", url, api_key=KEY).reply(QUESTION, max_new_tokens=8, on_text=lambda text: None)


def test_many_conversations_keep_their_order():
    def answer(handler):
        text = requests[-1]["messages"][0]["content"]
        fine(text)(handler)

    with server(answer) as (url, requests):
        chat = EndpointChat("m", url, api_key=KEY, concurrency=1)
        replies = chat.reply([[{"role": "user", "content": f"number {i}"}] for i in range(9)], max_new_tokens=8)
    assert [reply.text for reply in replies] == [f"number {i}" for i in range(9)]


def test_address_must_be_http():
    with pytest.raises(ChatError, match="must begin with http"):
        EndpointChat("m", "localhost:8000", api_key=KEY)
