"""Models without weights for the page: what they say and when is up to the test."""

import threading

from panollava_hf.asking._chat import ChatDefaults, PromptTokens, Reply
from panollava_hf.asking._families import family_of


class Talker(ChatDefaults):
    """Says words one after the other. After `free` words it waits for `gate`, if there is one.

    Attributes:
        said: Words that it has said.
        ended: Set when a reply has ended, whole or not.
        started: Set when a reply has begun.
    """

    device, dtype, trained = "stand-in", "none", True

    def __init__(self, words=("one", "two", "three"), gate=None, name="talker", error=None, free=0):
        self.words, self.gate, self.name, self.error, self.free = words, gate, name, error, free
        self.family = family_of("qwen3_vl")
        self.said, self.started, self.ended = [], threading.Event(), threading.Event()
        self.requests = []

    def reply(self, requests, *, on_text=None):
        self.requests += requests
        self.started.set()
        self.ended.clear()
        try:
            if self.error is not None:
                raise self.error
            for word in self.words:
                if self.gate is not None and len(self.said) >= self.free:
                    assert self.gate.wait(20)
                self.said.append(word)
                if on_text is not None:
                    on_text(f"{word} ")
        finally:
            self.ended.set()
        return [Reply(" ".join(self.words), 100, 60, len(self.words)) for _ in requests]

    def count(self, request):
        return PromptTokens(100, 60)
