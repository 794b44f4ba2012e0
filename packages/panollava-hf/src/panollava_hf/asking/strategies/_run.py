"""Drive strategies: the requests of all of them go to the model together."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from panollava_hf._errors import ChatError
from panollava_hf.asking._chat import Chat, OnText, Reply, Request
from panollava_hf.asking.strategies._look import Outcome, Steps


@dataclass(frozen=True)
class Finished:
    """How one strategy ended.

    Attributes:
        outcome: Its outcome, or its error.
        replies: Replies of the calls that were made for it, in order. A call that several strategies share is listed
            with the first of them only, so that sums over strategies are what was really used.
    """

    outcome: Outcome | ChatError
    replies: tuple[Reply, ...]


def run(
    chat: Chat,
    steps: Sequence[Steps],
    *,
    on_text: OnText | None = None,
    memo: dict[Hashable, Reply] | None = None,
    max_calls: int | None = None,
) -> list[Finished]:
    """Run strategies to their ends.

    Args:
        chat: The model.
        steps: The strategies at work, one for each panorama and question.
        on_text: Receives the answer piece by piece; for a single question only.
        memo: Replies to requests with keys; give the same dictionary again to send such requests once.
        max_calls: Most calls of the model. A strategy whose next calls would be more ends with an error.

    Returns:
        For each strategy its outcome. An error of one question does not end the others.

    Raises:
        ValueError: `on_text` is given for several questions.
    """
    if on_text is not None and len(steps) != 1:
        raise ValueError(f"on_text receives the answer to a single question, got {len(steps)} questions")
    memo = {} if memo is None else memo
    ends: dict[int, Outcome | ChatError] = {}
    replies: list[list[Reply]] = [[] for _ in steps]
    waiting: dict[int, list[Request]] = {}
    calls = 0

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
        sent: list[Request] = []
        owners: list[int] = []
        keyed: dict[Hashable, int] = {}
        placed: dict[int, list[Reply | int]] = {}
        for number, group in asked.items():
            places, new = _places(group, memo, keyed, len(sent))
            if max_calls is not None and calls + len(sent) + len(new) > max_calls:
                advance(number, ChatError(f"the budget of {max_calls} calls is used up; raise it (--budget)"))
                continue
            keyed |= {request.key: place for place, request in enumerate(new, len(sent)) if request.key is not None}
            sent, owners, placed[number] = sent + new, owners + [number] * len(new), places
        calls += len(sent)
        stream = on_text if len(sent) == 1 and sent[0].final else None
        received = chat.reply(sent, on_text=stream) if sent else []
        for number, request, reply in zip(owners, sent, received, strict=True):
            if isinstance(reply, Reply):
                replies[number].append(reply)
                if request.key is not None:
                    memo[request.key] = reply
        for number, places in placed.items():
            found = [received[place] if isinstance(place, int) else place for place in places]
            error = next((reply for reply in found if isinstance(reply, ChatError)), None)
            advance(number, error or [reply for reply in found if isinstance(reply, Reply)])
    return [Finished(ends[number], tuple(mine)) for number, mine in enumerate(replies)]


def _places(
    group: Sequence[Request], memo: Mapping[Hashable, Reply], keyed: Mapping[Hashable, int], start: int
) -> tuple[list[Reply | int], list[Request]]:
    """Where the reply to each request is found, and which requests must be sent for that.

    Args:
        group: Requests of one strategy.
        memo: Replies to requests that were sent before.
        keyed: Place of each key among the requests of this round.
        start: Place of the first request that is added to this round.
    """
    places: list[Reply | int] = []
    new: list[Request] = []
    own: dict[Hashable, int] = {}
    for request in group:
        known = None if request.key is None else memo.get(request.key, keyed.get(request.key, own.get(request.key)))
        if known is None:
            known = start + len(new)
            new.append(request)
            if request.key is not None:
                own[request.key] = known
        places.append(known)
    return places, new
