"""An endpoint for jobs: it counts the requests of each row, and fails as it is asked to."""

import re
import threading
from collections import Counter

from loopback import Raw, contents, failed, fine

#: How often a request of a row fails before it is answered: rows by their number modulo 40.
ONCE = {3: "500", 13: "429", 23: "drop"}
FOREVER = 33


def fails(number):
    """Whether a row is never answered."""
    return number % 40 == FOREVER


class Endpoint:
    """Answers "What is in room N?" with "room N".

    Args:
        together: Requests that wait for each other at first: the server shows that so many come at the same time.
    """

    def __init__(self, together=1):
        self.asked, self.together, self.active, self.most = Counter(), together, 0, 0
        self.changed = threading.Condition()

    def __call__(self, request):
        number = int(re.search(r"room (\d+)\?", question(request))[1])
        with self.changed:
            self.asked[number] += 1
            tries = self.asked[number]
            self.active += 1
            self.most = max(self.most, self.active)
            self.changed.notify_all()
            if sum(self.asked.values()) > 1:  # the first request of all is sent alone
                self.changed.wait_for(lambda: self.most >= self.together, timeout=5)
        try:
            return self.answer(number, tries)
        finally:
            with self.changed:
                self.active -= 1

    def answer(self, number, tries):
        how = ONCE.get(number % 40) if tries == 1 else None
        if fails(number) or how == "500":
            return failed(500, "out of memory")
        if how == "429":
            return failed(429, "slow down", retry_after_ms="10")
        if how == "drop":
            return Raw(b"{", length=100)
        return fine(f"room {number}")


def question(request):
    return [part["text"] for part in contents(request) if part["type"] == "text"][-1]
