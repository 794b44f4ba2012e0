"""Drive strategies: the requests of all of them go to the model together."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import Chat, OnText, Reply, Request
from panollava_hf.asking.strategies._look import Outcome, Steps


@dataclass(frozen=True)
class Finished:
    """The outcome of one strategy, or its error, and the replies that it received, in order."""

    outcome: Outcome | ChatError
    replies: tuple[Reply, ...]


def run(
    chat: Chat,
    steps: Sequence[Steps],
    *,
    on_text: OnText | None = None,
    memo: dict[Hashable, Reply] | None = None,
) -> list[Finished]:
    """Run strategies to their ends.

    Args:
        chat: The model.
        steps: The strategies at work, one for each panorama and question.
        on_text: Receives the answer piece by piece; for a single question only.
        memo: Replies to requests with keys; give the same dictionary again to send such requests once.

    Returns:
        For each strategy its outcome. An error of one question does not end the others.
    """
    memo = {} if memo is None else memo
    ends: list[Outcome | ChatError | None] = [None] * len(steps)
    replies: list[list[Reply]] = [[] for _ in steps]
    waiting: dict[int, list[Request]] = {}

    def advance(number: int, found: "list[Reply] | ChatError | None") -> None:
        step = steps[number]
        try:
            if isinstance(found, ChatError):
                waiting[number] = step.throw(found)
            else:
                waiting[number] = next(step) if found is None else step.send(found)
        except StopIteration as end:
            ends[number] = end.value
        except ChatError as error:
            ends[number] = error

    for number in range(len(steps)):
        advance(number, None)
    while waiting:
        asked, waiting = waiting, {}
        received = _replies(chat, [request for group in asked.values() for request in group], on_text, memo)
        for number, group in asked.items():
            mine, received = received[: len(group)], received[len(group) :]
            replies[number] += [reply for reply in mine if isinstance(reply, Reply)]
            error = next((reply for reply in mine if isinstance(reply, ChatError)), None)
            advance(number, error or [reply for reply in mine if isinstance(reply, Reply)])
    return [Finished(end, tuple(mine)) for end, mine in zip(ends, replies, strict=True) if end is not None]


def _replies(
    chat: Chat, requests: Sequence[Request], on_text: OnText | None, memo: dict[Hashable, Reply]
) -> list[Reply | ChatError]:
    """The replies to requests; those with equal keys are sent once."""
    sent: list[Request] = []
    by_key: dict[Hashable, int] = {}
    places: list[int | None] = []  # where each reply is found: in what was sent, or in the memo
    for request in requests:
        if request.key is not None and request.key in memo:
            places.append(None)
        elif request.key is not None and request.key in by_key:
            places.append(by_key[request.key])
        else:
            by_key[request.key] = len(sent)
            places.append(len(sent))
            sent.append(request)
    stream = on_text if len(sent) == 1 and sent[0].final else None
    received = chat.reply(sent, on_text=stream) if sent else []
    for request, reply in zip(sent, received, strict=True):
        if request.key is not None and isinstance(reply, Reply):
            memo[request.key] = reply
    return [
        memo[request.key] if place is None else received[place] for request, place in zip(requests, places, strict=True)
    ]
