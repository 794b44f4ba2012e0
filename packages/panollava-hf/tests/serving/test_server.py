"""A server with the embedded checkpoint: answers, refusals, streams, clients that go away, parallel clients."""

import asyncio
import base64
import http.client
import io
import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from panollava_hf import Answerer
from panollava_hf.asking._known_words import KnownWords
from panollava_hf.asking.models import _endpoint
from panollava_hf.asking.models._panollava import PanoLLaVaChat
from panollava_hf.cli import run
from panollava_hf.panoshapes import render_scene, sample_scene
from panollava_hf.panoshapes.wordings._topics import topics
from panollava_hf.panoshapes.wordings._vocabulary import vocabulary
from panollava_hf.serving._generation import _Watch
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

KEY = "a-key-that-is-never-printed"
NAME = "panollava-embedded"
QUESTIONS = ("How many objects are there?", "Where is the red cube?")


@pytest.fixture(scope="module")
def checkpoint():
    return PanoLLaVaChat.load("embedded")


@pytest.fixture(scope="module")
def server(checkpoint):
    """The address and the worker of a server that runs in a thread."""
    import uvicorn
    from panollava_hf.serving._app import build_app
    from panollava_hf.serving._server import listen
    from panollava_hf.serving._settings import ServerSettings

    app = build_app(checkpoint, NAME, ServerSettings(KEY, max_image_bytes=1 << 20, max_waiting=16))
    place = listen("127.0.0.1", 0)
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[place])))
    thread.start()
    yield f"http://127.0.0.1:{place.getsockname()[1]}", app.state.worker
    running.should_exit = True
    thread.join(20)
    place.close()
    assert not thread.is_alive()


def png(image):
    stream = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def panorama():
    return render_scene(sample_scene(1, "test", 0), 512)


@pytest.fixture(scope="module")
def expected(checkpoint, panorama):
    """What the model answers in this process."""
    answerer = Answerer(checkpoint)
    return {question: answerer.answer(panorama, question) for question in QUESTIONS}


def asking(data, question=QUESTIONS[0], kind="image/png", count=1, **more):
    url = data if isinstance(data, str) else f"data:{kind};base64,{base64.b64encode(data).decode()}"
    images = [{"type": "image_url", "image_url": {"url": url}}] * count
    content = [*images, {"type": "text", "text": question}]
    return {"model": NAME, "messages": [{"role": "user", "content": content}], **more}


def post(url, body, key=KEY, content_type="application/json"):
    headers = {"Content-Type": content_type} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def refusal(url, body, **options):
    status, text = post(url, body, **options)
    found = json.loads(text)["error"]
    assert "\n" not in found["message"]
    assert KEY not in text
    assert len(found["message"]) < 400
    return status, found["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_model_does_not_know_is_a_refusal(server, checkpoint, panorama, monkeypatch, stream):
    monkeypatch.setattr(checkpoint, "_known_words", KnownWords(["where", "is", "the", "cube"]))
    status, text = post(server[0], asking(png(panorama), "Where is the door?", stream=stream))
    assert status == 200
    if stream:
        parts = [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n")[:-2]]
        message = {key: value for part in parts for key, value in part["choices"][0]["delta"].items()}
        assert not message["content"]
    else:
        message = json.loads(text)["choices"][0]["message"]
        assert message["content"] is None
    assert message["refusal"] == "this checkpoint does not know the word 'door'"
    assert (message["unknown"]["words"], message["unknown"]["image"]) == (["door"], "")


UNKNOWN = {
    "words": "Where are the door and the lamp?",
    "question": "Where am I?",
    "image": "How many objects are there?",
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_ask_says_the_same_of_a_served_checkpoint_as_of_a_local_one(
    server, checkpoint, panorama, monkeypatch, tmp_path, capsys, kind
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(checkpoint, "_known_words", KnownWords([*vocabulary()]))
    monkeypatch.setattr(checkpoint, "_known_topics", KnownWords([*topics()], verbs=False))
    monkeypatch.setattr(checkpoint._known_images, "threshold", -1.0 if kind == "image" else 1e6)
    monkeypatch.setattr(PanoLLaVaChat, "load", classmethod(lambda *_, **__: checkpoint))
    Image.fromarray(np.asarray(panorama)).save(tmp_path / "scene.png")
    found = []
    clients, connected = [], _endpoint.connect
    monkeypatch.setattr(_endpoint, "connect", lambda *given: clients.append(connected(*given)) or clients[-1])
    for choice in (["--model", "embedded"], ["--model", NAME, "--base-url", f"{server[0]}/v1"]):
        command = ["ask", str(tmp_path / "scene.png"), UNKNOWN[kind], *choice]
        code, (out, err) = run(command), capsys.readouterr()
        plain = (code, out, [line for line in err.splitlines() if not line.startswith("Note: the embedded")])
        code = run([*command, "--json"])
        report = json.loads(capsys.readouterr().out)
        names = ("answer", "unknown_words", "unknown_image", "unknown_question", "note")
        fields = {name: report[name] for name in names}
        found.append((plain, code, fields, sorted(report)))
    for client in clients:  # the end of a process closes them
        client.close()
    assert found[0] == found[1]
    (code, out, lines), _, fields, _ = found[1]
    assert (code, out, len(lines)) == (3, "", 1)
    assert fields["unknown_words"] == (["door", "lamp"] if kind == "words" else [])
    assert fields["unknown_image"] == (kind == "image")
    assert kind == "words" or fields["unknown_question"] == (kind == "question")


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_those_of_the_model(server, panorama, expected, question):
    status, text = post(server[0], asking(png(panorama), question))
    found = json.loads(text)
    assert status == 200
    assert found["choices"][0]["message"]["content"] == expected[question].text
    assert found["choices"][0]["finish_reason"] == "stop"
    usage = found["usage"]
    assert usage["prompt_tokens"] == expected[question].prompt_tokens
    assert usage["completion_tokens"] == expected[question].new_tokens
    assert usage["prompt_tokens_details"]["image_tokens"] == expected[question].image_tokens


def test_a_stream_has_the_same_text_and_usage(server, panorama, expected):
    body = asking(png(panorama), QUESTIONS[1], stream=True, stream_options={"include_usage": True})
    status, text = post(server[0], body)
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert status == 200
    assert lines[-1] == "[DONE]"
    parts = [json.loads(line) for line in lines[:-1]]
    pieces = [part["choices"][0]["delta"].get("content", "") for part in parts if part["choices"]]
    assert "".join(pieces) == expected[QUESTIONS[1]].text
    assert len([piece for piece in pieces if piece]) > 1
    assert parts[-1]["usage"]["completion_tokens"] == expected[QUESTIONS[1]].new_tokens


def test_the_openai_client(server, panorama, expected):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{server[0]}/v1", api_key=KEY, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == [NAME]
        found = client.chat.completions.create(**asking(png(panorama)))
        assert found.choices[0].message.content == expected[QUESTIONS[0]].text
        with pytest.raises(openai.BadRequestError, match="panoramas"):
            client.chat.completions.create(**asking(png(panorama), count=2))


def test_ask_gives_what_a_local_model_gives(server, panorama, expected, tmp_path, monkeypatch, capsys):
    pytest.importorskip("openai")
    path = tmp_path / "panorama.png"
    path.write_bytes(png(panorama))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("PANOLLAVA_MODEL", raising=False)
    clients = []
    connected = _endpoint.connect

    def connect(*arguments):
        clients.append(connected(*arguments))
        return clients[-1]

    monkeypatch.setattr(_endpoint, "connect", connect)
    assert run(["ask", str(path), *QUESTIONS, "--base-url", f"{server[0]}/v1", "--json"]) == 0
    for client in clients:  # the end of a process closes them
        client.close()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["answer"] for line in lines] == [expected[question].text for question in QUESTIONS]
    assert [line["image_tokens"] for line in lines] == [expected[question].image_tokens for question in QUESTIONS]


def test_maximum_length_and_stop_texts(server, panorama, expected):
    words = expected[QUESTIONS[1]].text.split()
    assert len(words) > 1
    found = json.loads(post(server[0], asking(png(panorama), QUESTIONS[1], max_tokens=1))[1])
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 1
    found = json.loads(post(server[0], asking(png(panorama), QUESTIONS[1], stop=[words[1]]))[1])
    assert found["choices"][0]["message"]["content"] == words[0]
    assert found["choices"][0]["finish_reason"] == "stop"


def test_a_seed_repeats_a_sample(server):
    body = {"messages": [{"role": "user", "content": "Say something."}], "temperature": 2.0, "max_tokens": 12}
    texts = [json.loads(post(server[0], body | {"seed": seed})[1])["choices"][0]["message"] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def noisy(height, width):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"image": png(noisy(64, 64))}, 400, "64x64"),
        ({"image": b"no image"}, 400, "not an image"),
        ({"image": png(noisy(64, 128))[:5000]}, 400, "damaged"),
        ({"image": b""}, 400, "empty"),
        ({"image": png(noisy(450, 900))}, 413, "reads up to 1 MB"),
        ({"image": png(noisy(700, 1400))}, 413, "body of the request is larger than 2 MB"),
        ({"image": "http://127.0.0.1:9/a.png?token=secret"}, 400, "opens no addresses"),
        ({"image": "file:///etc/passwd"}, 400, "opens no addresses"),
        ({"image": "data:text/html;base64,aGk="}, 400, "expected image/"),
        ({"image": "data:image/png;base64,???"}, 400, "damaged"),
        ({"count": 2}, 400, "2 panoramas"),
        ({"model": "other"}, 404, NAME),
        ({"temperature": "warm"}, 400, "temperature must be a number"),
        ({"max_tokens": 0}, 400, "max_tokens must be a whole number"),
        ({"stop": 3}, 400, "stop must be"),
        ({"n": 2}, 400, "n is not supported"),
        ({"tools": [{"type": "function"}]}, 400, "tools is not supported"),
        ({"colour": "red"}, 400, "colour"),
        ({"messages": []}, 400, "messages must be a list"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, 400, "role 'robot'"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 400, "'input_audio'"),
        ({"messages": [{"role": "user", "content": "cube " * 100_000}]}, 400, "too long"),
    ],
)
def test_refusals_say_what_is_wrong(server, panorama, change, status, words):
    change = dict(change)
    body = asking(change.pop("image", png(panorama)), count=change.pop("count", 1)) | change
    found, message = refusal(server[0], body)
    assert found == status, message
    assert words in message
    assert "secret" not in message


def test_refusals_of_bodies_and_keys(server):
    assert refusal(server[0], {}, key=None)[0] == 401
    assert refusal(server[0], {}, key="wrong")[0] == 401
    assert refusal(server[0], b"{")[1] == "the body of the request is not valid JSON"
    assert refusal(server[0], b"[" * 100_000)[0] == 400
    assert refusal(server[0], {}, content_type="text/plain")[0] == 415
    for path, status in (("/v1/chat/completions", 405), ("/v1/completions", 404)):
        with pytest.raises(urllib.error.HTTPError, match=str(status)) as caught:
            urllib.request.urlopen(f"{server[0]}{path}", timeout=10)  # GET
        with caught.value as reply:
            assert "POST /v1/chat/completions" in json.load(reply)["error"]["message"]
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        urllib.request.urlopen(f"{server[0]}/v1/models", timeout=10)
    caught.value.close()
    with urllib.request.urlopen(f"{server[0]}/health", timeout=10) as reply:
        assert json.load(reply)["status"] == "ok"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_stops_its_generation(server, checkpoint, monkeypatch, stream):
    """The model would write until its positions end; afterwards the next request is answered."""
    monkeypatch.setattr(checkpoint.model.generation_config, "eos_token_id", None)
    steps = []
    connection = http.client.HTTPConnection(server[0].removeprefix("http://"), timeout=20)
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100_000, "stream": stream}
    gone = threading.Event()
    watch = _Watch.__call__

    def watched(self, *arguments, **named):
        steps.append(None)
        if len(steps) == 3:
            gone.wait(10)
        return watch(self, *arguments, **named)

    monkeypatch.setattr(_Watch, "__call__", watched)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    deadline = time.monotonic() + 15
    while len(steps) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    connection.close()
    gone.set()
    while server[1].waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server[1].waiting == 0
    status, _ = post(server[0], body | {"max_tokens": 1, "stream": False})
    assert status == 200
    assert len(steps) < 500


def test_parallel_clients_get_their_own_answers(server, panorama, expected):
    data = png(panorama)

    def one(number):
        question = QUESTIONS[number % 2]
        return json.loads(post(server[0], asking(data, question))[1])["choices"][0]["message"]["content"]

    with ThreadPoolExecutor(8) as clients:
        found = list(clients.map(one, range(16)))
    assert found == [expected[QUESTIONS[number % 2]].text for number in range(16)]


def test_a_failing_model_is_one_error_and_the_server_lives(server, panorama, monkeypatch):
    def fails(*arguments, **named):
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr("panollava_hf.serving._generation._Watch.__call__", fails)
        status, message = refusal(server[0], asking(png(panorama)))
    assert status == 500
    assert "RuntimeError" in message
    assert post(server[0], asking(png(panorama)))[0] == 200
