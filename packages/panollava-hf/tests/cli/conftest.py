import re

import pytest
from panollava_hf._errors import ChatError
from panollava_hf.asking import _answerer
from panollava_hf.asking._chat import ChatDefaults, PromptTokens, Reply
from panollava_hf.asking._families import family_of

#: A model at an endpoint that is never contacted: `Echo` stands in for it.
AT_ENDPOINT = ["--base-url", "http://127.0.0.1:9/v1", "--model", "echo"]


class Echo(ChatDefaults):
    """Answers with the last text of a request and the number of images in it; "fail" in a question is an error."""

    name, family, device, dtype, trained = "echo", family_of("qwen3_vl"), "endpoint", "unknown", True

    def __init__(self):
        self.requests = []

    def reply(self, requests, *, on_text=None):
        self.requests += requests
        return [self._one(request, on_text) for request in requests]

    def _one(self, request, on_text):
        content = request.messages[-1]["content"]
        text = content if isinstance(content, str) else content[-1]["text"]
        if "fail" in text:
            return ChatError("echo: the server answered 500")
        count = sum(
            part["type"] == "image_url"
            for message in request.messages
            if not isinstance(message["content"], str)
            for part in message["content"]
        )
        reply = f"{text} ({count} images)"
        for piece in re.findall(r"\S+\s*", reply) if on_text is not None else ():
            on_text(piece)
        return Reply(reply, prompt_tokens=100, image_tokens=10 * count, new_tokens=7, reasoning="because")

    def count(self, request):
        return PromptTokens(100, 60)


@pytest.fixture
def echo(monkeypatch):
    """The stand-in for the model of `AT_ENDPOINT`."""
    chat = Echo()
    monkeypatch.setattr(_answerer, "load_chat", lambda *names, **options: chat)
    return chat


@pytest.fixture
def at_endpoint():
    return AT_ENDPOINT
