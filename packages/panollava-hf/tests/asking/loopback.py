"""A loopback server that speaks the OpenAI protocol, and a model on it that answers only from what a request shows."""

import base64
import functools
import http.server
import io
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from panollava_hf.asking._directions import label
from panollava_hf.asking._frame import LOOK_AROUND
from panollava_hf.asking._strip import with_strip
from PIL import Image

#: Nothing of a panorama may be sent larger than this, in pixels.
MAX_SIDE = 1024


@dataclass
class Raw:
    """An answer as it is sent.

    Attributes:
        body: The body.
        status: Status of HTTP.
        headers: Headers beyond Content-Type and Content-Length.
        content_type: Kind of the body.
        length: The Content-Length; None: the length of the body, "": none, until the connection ends.
        endless: Whether the body is repeated until the client closes the connection.
        hang: An event that is waited for before the answer.
    """

    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    content_type: str = "application/json"
    length: object = None
    endless: bool = False
    hang: object = None


@dataclass
class Server:
    """What a client needs, what it sent, and the models that are listed; names of headers are in lower case."""

    url: str
    requests: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    paths: list = field(default_factory=list)
    models: list = field(default_factory=list)


def completion(text="a door", finish="stop", usage=True, **message):
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    found = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return found | ({"usage": {"prompt_tokens": 5000, "completion_tokens": 2, "total_tokens": 5002}} if usage else {})


def chunk(text=None, finish=None, **delta):
    delta |= {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


def events(*chunks, done=True, **settings):
    lines = [f"data: {json.dumps(one)}\n\n" for one in chunks] + ["data: [DONE]\n\n"] * done
    return Raw("".join(lines).encode(), content_type="text/event-stream", length="", **settings)


def as_json(found, status=200, **headers):
    return Raw(json.dumps(found).encode(), status, {name.replace("_", "-"): value for name, value in headers.items()})


def fine(text="a door", **message):
    return as_json(completion(text, **message))


def failed(status, text="it failed", **headers):
    return as_json({"error": {"message": text}}, status, **headers)


@contextmanager
def serve(*answers):
    """Serve answers in turn, the last one for all further requests.

    Args:
        answers: Each a `Raw`, a text, or a function of the request's JSON that returns one of both. A text is sent as a
            completion, or word by word where a stream was asked for.
    """
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.requests.append(request)
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                server.paths.append(self.path)
                answer = answers[min(len(server.requests), len(answers)) - 1]
            answer = answer(request) if callable(answer) else answer
            if isinstance(answer, str) and request.get("stream"):
                words = re.findall(r"\S+\s*", answer)
                answer = events(*(chunk(word) for word in words), chunk(finish="stop"))
            self.send(fine(answer) if isinstance(answer, str) else answer)

        def do_GET(self):
            self.send(as_json({"data": [{"id": name} for name in server.models]}) if server.models else failed(404))

        def send(self, answer):
            if answer.hang is not None:
                answer.hang.wait(5)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            length = len(answer.body) if answer.length is None else answer.length
            if length != "" and not answer.endless:
                self.send_header("Content-Length", str(length))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = True
            try:
                self.wfile.write(answer.body)
                while answer.endless:
                    self.wfile.write(answer.body)
            except OSError:
                self.close_connection = True  # the client has had enough

    class Httpd(http.server.ThreadingHTTPServer):
        daemon_threads = True

    httpd = Httpd(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{httpd.server_port}/v1")
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()


def contents(request):
    """The parts of all messages of a request."""
    for message in request["messages"]:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


def image_bytes(part):
    head, _, data = part["image_url"]["url"].partition(";base64,")
    assert head == "data:image/jpeg"
    return base64.b64decode(data, validate=True)


def images(request):
    """The images of a request; each must be a JPEG of at most 1024 pixels a side."""
    for part in contents(request):
        if part["type"] == "image_url":
            image = Image.open(io.BytesIO(image_bytes(part)))
            assert image.format == "JPEG"
            assert max(image.size) <= MAX_SIDE
            yield image


#: The colours that the model can tell apart.
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 30, 220),
    "yellow": (220, 220, 30),
    "white": (250, 250, 250),
    "purple": (160, 30, 160),
}
#: How a question names each direction.
ASKED = {
    "ahead": "ahead of me",
    "right": "to the right",
    "behind": "behind me",
    "left": "to the left",
    "above": "above me",
    "below": "below me",
}
LABELS = {label(view).partition(" (")[0]: label(view) for view in LOOK_AROUND}


def nearest_colour(pixel):
    return min(COLOURS, key=lambda name: np.abs(np.asarray(pixel, float) - COLOURS[name]).sum())


@functools.cache
def in_strip(data):
    """The direction written in a strip over the upper edge of an image; None if there is none.

    Each possible title is drawn and compared with the strip. The best must be clearly better than the others.
    """
    image = Image.open(io.BytesIO(data)).convert("RGB")
    height = max(12, round(image.height / 16))
    strip = np.asarray(image.convert("L").crop((0, 0, image.width, height)), float)
    if strip.min() > 60 or strip.max() < 120 or (strip < 60).mean() < 0.5:
        return None
    distances = {
        direction: min(np.abs(title(image.size, number, words) - strip).mean() for number in range(1, len(LABELS) + 1))
        for direction, words in LABELS.items()
    }
    best, second = sorted(distances, key=distances.get)[:2]
    return best if distances[best] < 0.6 * distances[second] else None


@functools.cache
def title(size, number, words):
    """The pixels of a strip with a title."""
    drawn = with_strip(Image.new("RGB", size), number, words).convert("L")
    return np.asarray(drawn.crop((0, 0, size[0], max(12, round(size[1] / 16)))), float)


def shown_directions(request):
    """The image of each direction, found by the text right before it or the strip in it, which must agree."""
    parts, found = list(contents(request)), {}
    for before, part in zip([None, *parts], parts, strict=False):
        if part["type"] != "image_url":
            continue
        data = image_bytes(part)
        text = re.match(r"Image \d+: ([a-z ]*?) \(yaw", before["text"]) if before and before["type"] == "text" else None
        names = {name for name in (text and text[1], in_strip(data)) if name}
        assert len(names) <= 1, names
        for name in names:
            assert name not in found
            found[name] = Image.open(io.BytesIO(data)).convert("RGB")
    return found


def sense(request):
    """A model that sees single colours and reads: it uses only what the request shows."""
    texts = [part["text"] for part in contents(request) if part["type"] == "text"]
    question = texts[-1]
    if question.startswith("Describe"):
        (image,) = images(request)
        return f"It is {nearest_colour(np.asarray(image.convert('RGB'))[image.height // 2, image.width // 2])}."
    wanted = next((name for name, words in ASKED.items() if question == f"What colour is it {words}?"), None)
    assert wanted, question
    shown = shown_directions(request)
    if wanted in shown:
        image = np.asarray(shown[wanted])
        return nearest_colour(image[image.shape[0] // 2, image.shape[1] // 2])
    for line in "\n".join(texts).splitlines():
        described = re.match(r"- ([a-z ]*?) \(yaw.*\): .*?\bIt is (\w+)\.", line)
        if described and described[1] == wanted:
            return described[2]
    return "I cannot see that."
