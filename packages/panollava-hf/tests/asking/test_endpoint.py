"""Endpoints over loopback HTTP: what is sent, what is read, and the ways in which servers fail."""

import _thread
import base64
import importlib
import io
import json
import logging
import math
import socket
import threading
import time
import traceback

import pytest

pytest.importorskip("openai")

from loopback import Raw, as_json, chunk, completion, events, fine, serve
from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import Reply, Request
from panollava_hf.asking._families import FAMILIES
from panollava_hf.asking.models._endpoint import EndpointChat
from panollava_hf.asking.models._reasoning import Visible, without_reasoning
from panollava_hf.asking.models.endpoint import _reading
from panollava_hf.asking.models.endpoint._address import hidden, read_address
from panollava_hf.asking.models.endpoint._faults import retry_after
from panollava_hf.asking.models.endpoint._image_tokens import image_tokens
from panollava_hf.asking.models.endpoint._model_names import family_named
from panollava_hf.asking.models.endpoint._workers import in_order
from PIL import Image

KEY = "sk-secret-key-of-the-test"


def request(text="Hello?", **settings):
    return Request([{"role": "user", "content": [{"type": "text", "text": text}]}], 8, **{"final": True, **settings})


def chat(url, **options):
    return EndpointChat("m", url, **{"api_key": KEY, "max_retries": 2, "timeout": 5.0, **options})


def ask(url, pieces=None, **options):
    return chat(url, **options).reply([request()], on_text=None if pieces is None else pieces.append)[0]


def error_body(text, **more):
    return {"error": {"message": f"{text} {KEY}", **more}}


def failed(code, text="it failed for", **headers):
    return as_json(error_body(text), code, **headers)


def check(error, *words):
    """One clear line, and the key is nowhere in the exception and what is linked to it."""
    assert isinstance(error, ChatError)
    text = str(error)
    assert "\n" not in text
    assert len(text) < 500
    for word in words:
        assert word in text
    try:
        raise error
    except ChatError as raised:
        whole = "".join(traceback.format_exception(raised)) + repr(raised)
    chain = [error]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    whole += "".join(repr(one) + str(vars(one)) for one in chain)
    assert KEY not in whole
    assert KEY[3:14] not in whole


@pytest.fixture
def waits(monkeypatch):
    """The waits between two tries, which take no time here."""
    found = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


@pytest.fixture(autouse=True)
def no_output(waits, capfd, caplog):
    """Nothing is printed, and no log contains the key at any level."""
    caplog.set_level(logging.DEBUG)
    yield
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert KEY not in caplog.text


def test_reply_and_its_cost():
    with serve("a door") as server:
        reply = ask(server.url)
    assert reply == Reply("a door", prompt_tokens=5000, image_tokens=0, new_tokens=2)
    assert server.requests == [
        {"model": "m", "messages": request().messages, "max_tokens": 8, "temperature": 0},
    ]
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


# What passes.


@pytest.mark.parametrize(
    ("failures", "wait"),
    [
        ([failed(500), failed(500)], None),
        ([failed(429, Retry_After="7")], 7.0),
        ([failed(429, retry_after_ms="1500")], 1.5),
        ([failed(503, Retry_After="3")], 3.0),
        ([failed(502)], None),
        ([failed(504)], None),
        ([failed(408)], None),
        ([as_json(error_body("busy", code=503))], None),
        ([Raw(b'{"choices": [{"mess', length=400)], None),
        ([Raw(b'{"choices": [{"mess')], None),
        ([Raw(b"")], None),
        ([events(chunk("a "), done=False)], None),
    ],
    ids="500-twice 429 429-ms 503 502 504 408 error-in-200 cut-body cut-json empty-body cut-stream".split(),
)
def test_passing_failures_are_retried(failures, wait, waits):
    with serve(*failures, "a door") as server:
        assert ask(server.url).text == "a door"
    assert len(server.requests) == len(failures) + 1
    assert len(waits) == len(failures)
    assert all(0.3 < found <= 8 for found in waits) if wait is None else waits == [wait]


# What does not pass. Each is one line.

HTML = Raw(b"<html><head><title>Sign in to Wi-Fi</title></head><body>x</body></html>", content_type="text/html")
PAGE = b"<html><head><style>p {}</style><title>502 Bad Gateway</title></head><body>nginx</body></html>"
FAULTS = {
    "401": (failed(401), 1, ["key was refused (401)", "OPENAI_API_KEY"]),
    "403": (failed(403), 1, ["denied (403)", "OPENAI_API_KEY"]),
    "402": (failed(402, "Insufficient balance"), 1, ["no credit", "402"]),
    "quota": (failed(429, "You exceeded your current quota, please check your billing"), 1, ["no credit"]),
    "400 for a key": (failed(400, "API key not valid. Please pass a valid API key."), 1, ["key was refused (400)"]),
    "403 for a key": (failed(403, "Invalid authentication credentials"), 1, ["key was refused (403)"]),
    "no images OpenRouter": (failed(404, "No endpoints found that support image input"), 1, ["takes no images"]),
    "overloaded": (failed(529, "Overloaded"), 3, ["529: Overloaded"]),
    "no content": (Raw(b"", 204, length=""), 3, ["empty"]),
    "damaged gzip": (Raw(b"nonsense", 200, {"Content-Encoding": "gzip"}), 1, ["request failed"]),
    "array of errors": (as_json([{"error": {"code": 400, "message": "bad view"}}], 400), 1, ["400: bad view"]),
    "list of errors in 200": (as_json({"error": ["a", "b"]}), 1, ["reports an error: a; b"]),
    "error true": (as_json({"error": True}), 1, ["no reason given"]),
    "other API": (as_json({"output": [{"type": "message"}]}), 1, ["no choices"]),
    "blank": (fine(" \n"), 1, ["no text"]),
    "404 path": (as_json({"detail": "Not Found"}, 404), 1, ["Not Found", "usually ends in /v1"]),
    "404 plain": (Raw(b"404 page not found", 404, content_type="text/plain"), 1, ["usually ends in /v1"]),
    "405": (as_json({"detail": "Method Not Allowed"}, 405), 1, ["usually ends in /v1"]),
    "404 model": (failed(404, "The model `m` does not exist."), 1, ["does not have the model", "--model"]),
    "404 ollama": (
        as_json({"error": 'model "m" not found, try pulling it first'}, 404),
        1,
        ["does not have the model"],
    ),
    "no images": (failed(400, "this model does not support image input"), 1, ["takes no images"]),
    "no images vllm": (failed(400, "m is not a multimodal model"), 1, ["takes no images"]),
    "no images llama.cpp": (
        failed(500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
        1,
        ["takes no images"],
    ),
    "no images 422": (
        as_json({"detail": [{"loc": ["body", "messages", 0, "content"], "msg": "str type expected"}]}, 422),
        1,
        ["takes no images", "body.messages.0.content"],
    ),
    "no images deepseek": (failed(400, "unknown variant `image_url`, expected `text`"), 1, ["takes no images"]),
    "too long": (
        failed(400, "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"),
        1,
        ["too long", "--view-size"],
    ),
    "too many images": (
        failed(400, "At most 1 image(s) may be provided in one prompt."),
        1,
        ["too many images", "--strategy describe"],
    ),
    "400": (failed(400, "bad things"), 1, ["refused the request (400: bad things"]),
    "413": (Raw(b"<html>too big</html>", 413, content_type="text/html"), 1, ["too large", "--view-size"]),
    "422": (as_json({"detail": [{"loc": ["body", "seed"], "msg": "not an integer"}]}, 422), 1, ["body.seed not an"]),
    "429": (failed(429, Retry_After="1"), 3, ["too many requests", "429"]),
    "429 later": (failed(429, Retry_After="3600"), 1, ["wait 3600 seconds"]),
    "500": (failed(500), 3, ["server failed (500"]),
    "502": (Raw(PAGE, 502, content_type="text/html"), 3, ["502 Bad Gateway"]),
    "503": (failed(503), 3, ["503"]),
    "504": (Raw(b"", 504), 3, ["504"]),
    "407": (Raw(b"", 407), 1, ["proxy"]),
    "do not retry": (failed(500, x_should_retry="false"), 1, ["500"]),
    "redirect": (
        Raw(b"", 307, {"Location": "https://u:p@other.org/v1/chat?k=1"}),
        1,
        ["redirects", "https://other.org/v1"],
    ),
    "301": (Raw(b"", 301, {"Location": "/elsewhere"}), 1, ["redirects", "/elsewhere"]),
    "303 without a place": (Raw(b"", 303), 1, ["redirects"]),
    "not JSON": (Raw(b"{not json"), 3, ["not valid JSON"]),
    "deep JSON": (Raw(b"[" * 200_000), 3, ["not valid JSON"]),
    "HTML": (HTML, 1, ["Sign in to Wi-Fi", "/v1"]),
    "list": (Raw(b"[]"), 1, ["no choices"]),
    "number": (Raw(b"7"), 1, ["no choices"]),
    "no choices": (Raw(b'{"choices": []}'), 1, ["no choices"]),
    "choices null": (Raw(b'{"choices": null}'), 1, ["no choices"]),
    "choices of numbers": (Raw(b'{"choices": [1]}'), 1, ["no text"]),
    "other JSON": (Raw(b'{"status": "ok"}'), 1, ["no choices", "/v1"]),
    "null content": (fine(None), 1, ["no text"]),
    "number content": (fine(3), 1, ["no text"]),
    "no message": (as_json({"choices": [{"index": 0, "finish_reason": None}]}), 1, ["no text"]),
    "refusal": (fine(None, refusal="I cannot help with that."), 1, ["refused to answer: I cannot help with that."]),
    "refusal of another kind": (fine(None, refusal="No.", unknown="?"), 1, ["refused to answer: No."]),
    "refusal with nothing unknown": (
        fine(None, refusal="No.", unknown={"words": [7], "image": None, "question": 1}),
        1,
        ["refused to answer: No."],
    ),
    "refusal parts": (fine([{"type": "refusal", "refusal": "I cannot."}]), 1, ["refused to answer: I cannot."]),
    "filter": (as_json(completion("a", finish="content_filter")), 1, ["content filter"]),
    "filter upper case": (as_json(completion(None, finish="SAFETY")), 1, ["content filter"]),
    "tool": (as_json(completion(None, finish="tool_calls", tool_calls=[{"id": "1"}])), 1, ["call a tool"]),
    "length": (
        as_json(completion("<think>It is", finish="length")),
        1,
        ["8 tokens were not enough", "--max-new-tokens"],
    ),
    "length field": (as_json(completion("", finish="length", reasoning_content="It")), 1, ["--max-new-tokens"]),
    "only reasoning": (fine("<think>It is red.</think>"), 1, ["reasoning but no answer"]),
    "error in 200": (as_json(error_body("the GPU is on fire")), 1, ["reports an error: the GPU is on fire"]),
    "error text in 200": (as_json({"error": "no images please, text-only model"}), 1, ["takes no images"]),
    "error of vLLM": (as_json({"object": "error", "message": "broken", "code": 400}), 1, ["broken"]),
    "401 in 200": (as_json(error_body("no", code=401)), 1, ["key was refused"]),
    "error in a choice": (as_json({"choices": [{"error": {"code": 502, "message": "upstream"}}]}), 3, ["upstream"]),
    "error event": (Raw(b'event: error\ndata: {"message": "out of memory"}\n\n'), 1, ["out of memory"]),
    "error data": (events(chunk("a "), error_body("out of memory")), 1, ["out of memory"]),
    "stream without choices": (Raw(b"data: [DONE]\n\n"), 1, ["no choices"]),
    "long text": (failed(400, "x" * 10_000 + KEY), 1, ["xxx"]),
    "key at the cut": (failed(400, "x" * 190 + KEY), 1, ["xxx"]),
    "control characters": (as_json({"error": "a\x1b[31m\r\nb\x00"}, 400), 1, ["a?[31m b?"]),
    "binary": (Raw(bytes(range(256)) * 9, 400), 1, ["400"]),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_one_line(name, stream):
    answer, requests, words = FAULTS[name]
    pieces = []
    with serve(answer) as server:
        error = ask(server.url, pieces if stream else None)
    check(error, *words, "m at http://127.0.0.1")
    assert len(server.requests) == (1 if pieces else requests)


def test_timeout():
    over = threading.Event()
    with serve(Raw(b"{}", hang=over)) as server:
        check(ask(server.url, timeout=0.05), "no reply in time")
        over.set()
    assert len(server.requests) == 2


def test_a_reply_that_drips_is_given_up(monkeypatch):
    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr(_reading.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(_reading.Fault, match="no reply in time"):
        _reading.read(iter([b" "] * 99), timeout=10.0, clean=str)
    found = _reading.read(iter([events(chunk("a")).body[:-14]] * 9 + [b"data: [DONE]\n\n"]), timeout=10.0, clean=str)
    assert found.text == "a" * 9


def test_nothing_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        started = chat(f"http://127.0.0.1:{port}/v1")
        errors = started.reply([request() for _ in range(20)])
    for error in errors:
        check(error, "connection refused", "is the server running?")


def test_unknown_host(monkeypatch):
    def resolve(*arguments, **settings):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    check(ask("http://no-such-host.invalid/v1"), "no such host", "--base-url")


def test_no_secure_connection():
    with serve("a door") as server:
        check(ask(server.url.replace("http:", "https:")), "no secure connection")


@pytest.mark.parametrize("body", [b"x" * 65536, b" " * 65536, b"data: " + b"x" * 60000 + b"\n", b": ping\n\n" * 8000])
def test_an_endless_reply_is_bounded(monkeypatch, body):
    monkeypatch.setattr(_reading, "MAX_BYTES", 1 << 20)
    with serve(Raw(body, endless=True)) as server:
        check(ask(server.url), "larger than 1 MB")


def test_an_endless_error_is_bounded():
    with serve(Raw(b"sorry " * 9999, 400, endless=True)) as server:
        check(ask(server.url), "sorry")


# Keys and addresses.


def test_a_refused_key_is_tried_once():
    with serve(failed(401)) as server:
        endpoint = chat(server.url)
        errors = endpoint.reply([request(str(number)) for number in range(50)])
        errors += endpoint.reply([request()])
    assert len(server.requests) == 1
    for error in errors:
        check(error, "401")


@pytest.mark.parametrize("code", [403, 404])
def test_what_all_requests_suffer_from_is_tried_once(code):
    with serve(failed(code)) as server:
        errors = chat(server.url).reply([request(str(number)) for number in range(50)])
    assert len(server.requests) == 1
    assert all(isinstance(error, ChatError) for error in errors)


def test_one_row_that_is_denied_does_not_stop_the_others():
    def answer(sent):
        return failed(403, "flagged") if "7" in sent["messages"][0]["content"][0]["text"] else "a door"

    with serve(answer) as server:
        found = chat(server.url).reply([request(str(number)) for number in range(10)])
    assert [isinstance(one, ChatError) for one in found] == [number == 7 for number in range(10)]


def test_rows_that_fail_have_their_errors_in_their_places():
    def answer(sent):
        number = int(sent["messages"][0]["content"][0]["text"])
        return failed(400, "no") if number % 3 == 1 else f"answer {number}"

    with serve(answer) as server:
        found = chat(server.url).reply([request(str(number)) for number in range(20)])
    for number, one in enumerate(found):
        if number % 3 == 1:
            check(one, "400: no")
        else:
            assert one.text == f"answer {number}"


def test_a_model_that_is_not_there():
    with serve(failed(404, "The model `m` does not exist.")) as server:
        server.models = ["gemma3:12b", f"{KEY}:7b", 3]
        errors = chat(server.url).reply([request()] * 9)
    for error in errors:
        check(error, "check --model; it has: gemma3:12b, ***:7b")
    assert len(server.requests) == 1


def test_a_connection_that_fails_for_some_does_not_stop_the_others(monkeypatch):
    def answer(sent):
        return Raw(b"", 599) if "3" in sent["messages"][0]["content"][0]["text"] else "a door"

    with serve(answer) as server:
        found = chat(server.url, concurrency=1).reply([request(str(number)) for number in range(6)])
    assert [isinstance(one, ChatError) for one in found] == [number == 3 for number in range(6)]


def test_a_server_that_stops_is_not_waited_for_in_each_row(waits):
    with serve("a door") as server:
        endpoint = chat(server.url, concurrency=1)
        assert endpoint.reply([request()])[0].text == "a door"
    errors = endpoint.reply([request(str(number)) for number in range(20)])
    for error in errors:
        check(error, "is the server running?")
    assert len(waits) == 2


def test_options_of_local_models():
    EndpointChat("m", "http://host/v1", device=None)
    with pytest.raises(ChatError, match="device, dtype: the server decides"):
        EndpointChat("m", "http://host/v1", device="cuda", dtype="bfloat16")


def test_requests_run_at_the_same_time():
    together = threading.Barrier(4, timeout=5)

    def answer(sent):
        if sent["messages"][0]["content"][0]["text"] != "0":
            together.wait()
        return "a door"

    with serve(answer) as server:
        found = chat(server.url, concurrency=4, max_retries=0).reply([request(str(number)) for number in range(9)])
    assert [one.text for one in found] == ["a door"] * 9


@pytest.mark.parametrize("data", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_something_else_listens_there(data):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk():
            for _ in range(3):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(data)

        threading.Thread(target=talk, daemon=True).start()
        check(ask(f"http://127.0.0.1:{listener.getsockname()[1]}/v1"), "connection was cut off")


def test_ctrl_c_does_not_wait_for_the_requests_under_way():
    over = threading.Event()

    def stuck(number):
        if number == 1:
            _thread.interrupt_main()
        over.wait(5)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_order(stuck, [1, 2, 3], 2)
    assert time.monotonic() - started < 4
    over.set()


def test_an_exception_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        in_order(lambda number: 1 / number, [1, 0, 2], 2)
    with serve("a b c") as server, pytest.raises(BrokenPipeError):
        chat(server.url).reply([request()], on_text=lambda text: (_ for _ in ()).throw(BrokenPipeError()))


SECRETS = [
    "http://me:Pa55-wort@127.0.0.1:{port}/v1?token=Pa55-wort#Pa55-wort",
    "http://me:Pa55%2Dwort@127.0.0.1:{port}/v1/",
]


@pytest.mark.parametrize("address", SECRETS)
@pytest.mark.parametrize("answer", [failed(401), failed(404, "Pa55-wort"), failed(400, "bad Pa55-wort"), "a door"])
def test_secrets_of_the_address_are_sent_and_not_shown(address, answer, caplog):
    with serve(answer) as server:
        endpoint = EndpointChat("m", address.format(port=server.url.split(":")[2][:-3]), max_retries=0)
        found = endpoint.reply([request()])[0]
    shown = f"{caplog.text} {found!r} {found} {endpoint!r} {endpoint.device} {endpoint.fingerprint()}"
    assert "Pa55" not in shown
    assert "wort" not in shown
    assert server.headers[0]["authorization"] == "Basic " + base64.b64encode(b"me:Pa55-wort").decode()
    assert server.paths[0] == "/v1/chat/completions" + "?token=Pa55-wort" * ("token" in address)


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8000",
        "",
        "ftp://me:Pa55@host/v1",
        "file:///etc/passwd?Pa55",
        "http://",
        "http:///v1",
        "http://me:Pa55#x@host/v1",
        "http://me:Pa55@host:port/v1",
        "http://[::1/v1?Pa55",
        "http://ho st/v1?Pa55",
        "http://host\n/v1?Pa55",
        "me:Pa55@host/v1",
        "http://me:Pa\\55@host/v1",
    ],
)
def test_addresses_that_are_none(address):
    with pytest.raises(ChatError, match=r"--base-url .*http://localhost:8000/v1") as caught:
        EndpointChat("m", address)
    assert "55" not in "".join(traceback.format_exception(caught.value)).replace(f'"m", {address!r}', "")
    assert caught.value.__context__ is None or "55" not in str(caught.value.__context__)


def test_addresses():
    assert read_address("HTTP://Host.org:8000/v1/chat/completions/").url == "http://host.org:8000/v1"
    assert read_address("http://[::1]:1/v1").url == "http://[::1]:1/v1"
    assert hidden("a " + KEY[:12] + "… b", (KEY,)) == "a ***… b"
    assert hidden("abc", ("xyz",)) == "abc"


@pytest.mark.parametrize("key", ["sk-sec ret", "sk-sécret", "sk-sec\nret"])
def test_keys_that_cannot_be_sent(key):
    with pytest.raises(ChatError, match="blanks or special characters") as caught:
        EndpointChat("m", "http://host/v1", api_key=key)
    assert "ret" not in str(caught.value)


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    with serve(failed(400)) as server:
        check(EndpointChat("m", server.url).reply([request()])[0], "400")
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_an_answer_that_repeats_the_key():
    pieces = []
    with serve(f"your key is {KEY} or {KEY}") as server:
        assert ask(server.url).text == "your key is *** or ***"
        ask(server.url, pieces)
    assert KEY not in "".join(pieces)


def test_the_fingerprint_depends_on_model_and_address_only():
    def digest(model, url, key):
        return EndpointChat(model, url, api_key=key).fingerprint()

    first = digest("m", "http://host/v1", "one")
    assert first == digest("m", "http://me:Pa55@host/v1?x=1", "two")
    assert len({first, digest("n", "http://host/v1", "one"), digest("m", "http://other/v1", "one")}) == 3


def test_without_the_package(monkeypatch):
    real = importlib.import_module

    def missing(name, *arguments):
        if name == "openai":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ChatError, match=r"pip install 'panollava-hf\[endpoint\]'"):
        EndpointChat("m", "http://host/v1")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used(monkeypatch, variable):
    monkeypatch.setenv(variable, "nonsense://me:Pa55-wort@proxy")
    with pytest.raises(ChatError, match="HTTPS_PROXY") as caught:
        EndpointChat("m", "http://host/v1")
    assert caught.value.__context__ is None


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": math.nan}, {"max_retries": -1}, {"concurrency": 0}])
def test_options_out_of_range(options):
    with pytest.raises(ChatError, match=f"{next(iter(options))} must be a number of at least"):
        EndpointChat("m", "http://host/v1", **options)
    with pytest.raises(ChatError, match="name of the model"):
        EndpointChat(" ", "http://host/v1")


# What is sent.


@pytest.mark.parametrize(
    ("generation", "sent"),
    [
        ({}, {"temperature": 0}),
        ({"do_sample": False}, {"temperature": 0}),
        ({"do_sample": True}, {}),
        ({"do_sample": True, "temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"seed": 3, "stop": ["."]}, {"seed": 3, "stop": ["."], "temperature": 0}),
        ({"stop_strings": ["."]}, {"stop": ["."], "temperature": 0}),
        ({"top_k": 5, "repetition_penalty": 1.1}, {"top_k": 5, "repetition_penalty": 1.1, "temperature": 0}),
    ],
)
def test_generation_arguments(generation, sent):
    with serve("a door") as server:
        chat(server.url).reply([request(generation=generation)])
    (found,) = server.requests
    assert {name: found[name] for name in found if name not in ("model", "messages", "max_tokens")} == sent


@pytest.mark.parametrize("generation", [{"num_beams": 4}, {"temperature": math.inf}])
def test_generation_arguments_that_do_not_work(generation):
    with serve("a door") as server, pytest.raises(ChatError, match=f"generation argument '?{next(iter(generation))}"):
        chat(server.url).reply([request(generation=generation)])
    assert server.requests == []


def test_arguments_that_a_server_does_not_take():
    """Hosted reasoning models want max_completion_tokens and no temperature; old servers no stream_options."""

    def answer(sent):
        if "max_tokens" in sent:
            return failed(
                400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'"
            )
        if "temperature" in sent:
            return failed(400, "Unsupported value: 'temperature' does not support 0 with this model.")
        if "stream_options" in sent:
            return as_json(
                {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}, 422
            )
        return "a door"

    with serve(answer) as server:
        endpoint = chat(server.url, max_retries=0)
        pieces = []
        assert endpoint.reply([request()], on_text=pieces.append)[0].text == "a door"
        assert [one.text for one in endpoint.reply([request()] * 3)] == ["a door"] * 3
    assert len(server.requests) == 4 + 3
    assert server.requests[-1]["max_completion_tokens"] == 8
    assert "".join(pieces) == "a door"


def test_short_calls_of_a_model_that_reasons_get_room_for_it():
    def answer(sent):
        cut = sent["max_tokens"] < 1000
        return as_json(
            completion("<think>It is", finish="length") if cut else completion("<think>It is.</think>A door.")
        )

    with serve(answer) as server:
        endpoint = chat(server.url)
        found = endpoint.reply([request(final=False)] * 3)
        check(endpoint.reply([request(final=True)])[0], "--max-new-tokens")
    assert [one.text for one in found] == ["A door."] * 3
    assert len(server.requests) == 2 + 2 + 1


# What is read.

STREAM = events(
    chunk("a "), chunk("door"), chunk(finish="stop"), {**chunk(), "choices": [], "usage": {"prompt_tokens": 9}}
)


def test_stream():
    pieces = []
    with serve(STREAM) as server:
        reply = ask(server.url, pieces)
    assert (reply.text, pieces, reply.prompt_tokens) == ("a door", ["a", " door"], 9)
    assert server.requests[0]["stream"] is True


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (STREAM, False),
        (fine(), True),
        (Raw(STREAM.body, content_type="application/json"), False),
        (Raw(STREAM.body.replace(b"\n", b"\r\n"), content_type="text/event-stream"), True),
        (Raw(b": keep-alive\n\n" + STREAM.body, content_type="text/event-stream"), True),
        (events(chunk("a "), chunk("door", finish="stop"), done=False), True),
        (events(chunk("a "), chunk("door")), True),
        (Raw(b"\xef\xbb\xbf\n\n " + fine().body), False),
        (Raw(b"data: " + json.dumps(chunk("a door", finish="stop")).encode()), True),
    ],
    ids=[
        "SSE unasked",
        "JSON for SSE",
        "wrong kind",
        "CRLF",
        "comment",
        "no DONE",
        "no finish",
        "BOM",
        "no blank line",
    ],
)
def test_forms_of_a_reply(answer, asked):
    pieces = []
    with serve(answer) as server:
        reply = ask(server.url, pieces if asked else None)
    assert reply.text == "a door"
    assert "".join(pieces) == ("a door" if asked else "")


def test_a_stream_that_breaks_is_not_started_again():
    pieces = []
    with serve(Raw(events(chunk("a "), done=False).body, length=9999, content_type="text/event-stream")) as server:
        check(ask(server.url, pieces), "cut off")
    assert pieces == ["a"]
    assert len(server.requests) == 1


REASONED = {
    "tags": fine("<think>It is red.</think>\nA door."),
    "thinking": fine("<thinking>\nIt is red.\n</thinking>A door."),
    "no opening tag": fine("It is red.\n</think>\n\nA door."),
    "kimi": fine("◁think▷It is red.◁/think▷A door."),
    "magistral": fine("[THINK]It is red.[/THINK]A door."),
    "glm": fine("<think>It is red.</think><answer><|begin_of_box|>A door.<|end_of_box|></answer>"),
    "medgemma": fine("<unused94>It is red.<unused95>A door."),
    "reasoning_content": fine("A door.", reasoning_content="It is red."),
    "reasoning": fine("A door.", reasoning="It is red."),
    "parts": fine(
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "It is red."}]},
            {"type": "text", "text": "A door."},
        ]
    ),
    "parts 2": fine([{"type": "reasoning", "text": "It is red."}, {"type": "output_text", "text": "A door."}]),
    "harmony": fine(
        "<|channel|>analysis<|message|>It is red.<|end|><|start|>assistant<|channel|>final<|message|>A door.<|return|>"
    ),
    "tool and text": fine("<think>It is red.</think>A door.", tool_calls=[{"id": "1"}]),
}


@pytest.mark.parametrize("name", REASONED)
def test_reasoning_is_not_part_of_the_answer(name):
    with serve(REASONED[name]) as server:
        reply = ask(server.url)
    assert (reply.text, reply.reasoning) == ("A door.", "It is red.")


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("A door.", ("A door.", "")),
        (" a < b and [x] ", ("a < b and [x]", "")),
        ("<think>It is", ("", "It is")),
        ("<think></think>A door.", ("A door.", "")),
        ("<think>a</think>b<think>c</think>A door.", ("bA door.", "a\nc")),
        ("A door. <think>Is it", ("A door.", "Is it")),
        ("<|channel|>analysis<|message|>It is", ("", "It is")),
        ("", ("", "")),
    ],
)
def test_without_reasoning(text, split):
    assert without_reasoning(text) == split


@pytest.mark.parametrize(
    ("text", "model", "shown"),
    [
        ("A red door.", "m", "A red door."),
        ("<think>It is red.</think>\n\nA door.", "m", "A door."),
        ("a < b <i>c</i>", "m", "a < b <i>c</i>"),
        ("It is red.</think>A door.", "Qwen3-VL-2B-Thinking", "A door."),
        ("It is red.</think>A door.", "m", "It is red.\n\nA door."),
        ("<|channel|>analysis<|message|>It<|end|><|start|>assistant<|channel|>final<|message|>A door.", "m", "A door."),
    ],
)
def test_reasoning_is_not_streamed(text, model, shown):
    for width in (1, 3, 7, 1000):
        visible = Visible(model)
        pieces = [visible.add(text[start : start + width]) for start in range(0, len(text), width)]
        assert "".join(pieces) + visible.end(without_reasoning(text)[0]) in (shown, without_reasoning(text)[0])


def test_an_answer_does_not_control_the_terminal():
    pieces = []
    with serve(Raw(json.dumps(completion("a\x1b]0;x\x07 door\n\x9b2J")).encode())) as server:
        assert ask(server.url, pieces).text == "a]0;x door\n2J"
    assert "".join(pieces) == "a]0;x door\n2J"


def test_half_of_a_surrogate_pair_does_not_break_the_terminal():
    with serve(Raw(json.dumps(completion("a \ud800 door")).encode())) as server:
        assert ask(server.url).text.encode() == b"a ? door"


def test_dates_in_retry_after():
    import email.utils

    assert retry_after({"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(
        30, abs=2
    )
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "Mon, 99 Foo 99999999999 00:00:00 GMT"}) is None
    assert retry_after({}) is None


# Families and their cost.


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("qwen2.5-vl:7b", "qwen2_5_vl"),
        ("qwen2.5vl", "qwen2_5_vl"),
        ("Qwen/Qwen2.5-VL-72B-Instruct-AWQ", "qwen2_5_vl"),
        ("Qwen/Qwen2-VL-7B-Instruct", "qwen2_vl"),
        ("Qwen/Qwen3-VL-2B-Instruct", "qwen3_vl"),
        ("qwen3-vl:235b-a22b", "qwen3_vl_moe"),
        ("gemma-3-27b-it", "gemma3"),
        ("gemma3:4b", "gemma3"),
        ("gemma-31b", ""),
        ("gpt-4o", "gpt"),
        ("openai/gpt-4o-mini", "gpt"),
        ("o3", "gpt"),
        ("gemini-2.5-flash", "gemini"),
        ("claude-sonnet-4", "claude"),
        ("llava:13b", "llava"),
        ("llava-hf/llava-1.5-7b-hf", "llava"),
        ("llava-v1.6-mistral-7b", "llava_next"),
        ("llava-hf/llava-onevision-qwen2-7b-ov-hf", "llava_onevision"),
        ("InternVL3-8B", "internvl"),
        ("OpenGVLab/InternVL3_5-8B", "internvl"),
        ("HuggingFaceTB/SmolVLM2-2.2B-Instruct", "smolvlm"),
        ("Idefics3-8B-Llama3", "idefics3"),
        ("mistral-small3.1:24b", "mistral3"),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", "mistral3"),
        ("llama3.2-vision:11b", "mllama"),
        ("google/paligemma2-3b-mix-448", "paligemma"),
        ("zai-org/GLM-4.5V", "glm4v_moe"),
        ("glm-4.1v-9b-thinking", "glm4v"),
        ("google/gemma-3n-E4B-it", "gemma3n"),
        ("pixtral-12b-2409", "mistral3"),
        ("gpt-oss:20b", ""),
        ("my-model", ""),
        ("llama-panollava", ""),
    ],
)
def test_family_of_a_name(name, family):
    found = family_named(name)
    assert found.name == family
    assert found.known == bool(family)
    assert found.labels == "both"
    assert not found.reads_panoramas


def test_every_family_is_found_by_its_model_type():
    wrong = {key: family_named(key).name for key in FAMILIES if family_named(key).name != key}
    assert wrong == {}


@pytest.mark.parametrize("name", ["panollava", "PanoLLaVA-mine", "someone/panollava-7b"])
def test_a_panollava_checkpoint_gets_the_panorama_itself(name):
    assert family_named(name).reads_panoramas


@pytest.mark.parametrize(
    ("family", "model", "tokens"),
    [
        ("qwen2_5_vl", "", {336: 144, 448: 256, 512: 324, 672: 576, 768: 729}),
        ("qwen3_vl", "", {336: 100, 448: 196, 512: 256, 672: 441, 768: 576, 1024: 1024}),
        ("internvl", "", {336: 258, 448: 258, 512: 258, 672: 1282, 768: 1282, 1024: 2562}),
        ("gemma3", "", {336: 256, 1024: 256}),
        ("gpt", "gpt-4o-2024-08-06", {448: 255, 512: 255, 1024: 765}),
        ("gpt", "gpt-4o-mini", {512: 8500}),
        ("gpt", "gpt-6", {512: None}),
        ("smolvlm", "", {512: None}),
    ],
)
def test_image_tokens(family, model, tokens):
    """The numbers that the processors of transformers 5.24 gave, and OpenAI's published example (1024 pixels: 765)."""
    assert {size: image_tokens(family, model, (size, size)) for size in tokens} == tokens


def test_the_whole_panorama_costs():
    assert image_tokens("internvl", "", (2048, 1024)) == 2306
    assert image_tokens("qwen3_vl", "", (2048, 1024)) == 2048


def test_count_and_the_reported_cost():
    stream = io.BytesIO()
    Image.new("RGB", (448, 448)).save(stream, "JPEG")
    part = {
        "type": "image_url",
        "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()},
    }
    asked = Request([{"role": "user", "content": [part, part, {"type": "text", "text": "?"}]}], 8)
    with serve("a door") as server:
        endpoint = EndpointChat("qwen2.5vl:7b", server.url)
        counted = endpoint.count(asked)
        reply = endpoint.reply([asked])[0]
        unknown = EndpointChat("my-model", server.url).count(asked)
    assert (counted.prompt, counted.image, reply.image_tokens) == (None, 512, 512)
    assert (unknown.prompt, unknown.image) == (None, None)
