"""What questions about a panorama will cost, before a model runs.

The strategies themselves are driven with stand-in replies, and the model counts the tokens of each prompt that they
write. So what is announced is what is then used: images and their tokens exactly, calls exactly except for `zoom`.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from panollava_hf.asking._chat import Chat, PromptTokens, Reply, Request, parts_of
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.strategies import Look, strategy_for
from panollava_hf.asking.strategies._look import Steps


@dataclass(frozen=True)
class Usage:
    """Calls and tokens.

    Attributes:
        calls: Calls of the model.
        images: Images in all prompts.
        image_tokens: Tokens of these images; None if not known.
        prompt_tokens: Tokens of all prompts, images included; None if not known.
        new_tokens: Largest number of generated tokens.
    """

    calls: int = 0
    images: int = 0
    image_tokens: int | None = 0
    prompt_tokens: int | None = 0
    new_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return self._joined(other, int.__add__)

    def most(self, other: "Usage") -> "Usage":
        """The larger of each figure."""
        return self._joined(other, max)

    def _joined(self, other: "Usage", join: Callable[[int, int], int]) -> "Usage":
        figures: dict[str, Any] = {}
        for field in fields(self):
            own, others = getattr(self, field.name), getattr(other, field.name)
            figures[field.name] = None if own is None or others is None else join(own, others)
        return Usage(**figures)


@dataclass(frozen=True)
class Cost:
    """The cost of questions about panoramas with one strategy.

    Attributes:
        strategy: Name of the strategy.
        views: Views of a panorama.
        size: Height and width of a view in pixels.
        questions: For each question what it adds; descriptions of views that several questions share are part of the
            first of them.
        steps: What each step of the strategy takes, all questions together.
    """

    strategy: str
    views: int
    size: tuple[int, int]
    questions: tuple[Usage, ...]
    steps: Mapping[str, Usage]

    @property
    def total(self) -> Usage:
        """All questions together."""
        return sum(self.questions, Usage())

    @property
    def calls(self) -> int:
        """Calls of the model; for `zoom` the largest number."""
        return self.total.calls

    @property
    def images(self) -> int:
        """Images in all prompts."""
        return self.total.images

    @property
    def image_tokens(self) -> int | None:
        """Tokens of these images; None if the model does not count them before a request."""
        return self.total.image_tokens

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of all prompts, images included, with descriptions of full length; None if not known."""
        return self.total.prompt_tokens

    @property
    def new_tokens(self) -> int:
        """Largest number of generated tokens."""
        return self.total.new_tokens

    @property
    def tokens(self) -> int | None:
        """Tokens of prompts and replies together; None if not known."""
        prompt = self.prompt_tokens
        return None if prompt is None else prompt + self.new_tokens

    def __add__(self, other: "Cost") -> "Cost":
        names = dict.fromkeys((*self.steps, *other.steps))
        steps = {name: self.steps.get(name, Usage()) + other.steps.get(name, Usage()) for name in names}
        return Cost(self.strategy, self.views, self.size, self.questions + other.questions, steps)

    def brief(self) -> str:
        """Calls and tokens in a few words."""
        calls = f"{self.calls:,} call{'' if self.calls == 1 else 's'}"
        return calls if self.tokens is None else f"{calls} and {self.tokens:,} tokens"

    def to_dict(self) -> dict[str, object]:
        """A dictionary for JSON."""
        names = [field.name for field in fields(Usage)]

        def figures(usage: Usage) -> dict[str, int | None]:
            return {name: getattr(usage, name) for name in names}

        return {
            "strategy": self.strategy,
            "views": self.views,
            "view_size": list(self.size),
            **figures(self.total),
            "questions": [figures(usage) for usage in self.questions],
            "steps": {name: figures(usage) for name, usage in self.steps.items()},
        }

    def __str__(self) -> str:
        """A table: steps × calls × images × tokens."""
        height, width = self.size
        count = len(self.questions)
        rows: list[tuple[str, ...]] = [("step", "calls", "images", "image tokens", "prompt tokens", "new tokens")]
        for name, usage in (*self.steps.items(), ("total", self.total)):
            rows.append((name, *(_figure(getattr(usage, field.name)) for field in fields(usage))))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        table = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]
        return "\n".join(
            [
                f"Strategy {self.strategy}, {self.views} views of {height} x {width} pixels, {count} "
                f"question{'' if count == 1 else 's'}:",
                *table,
                self._remark(),
            ]
        )

    def _remark(self) -> str:
        if self.strategy in ("zoom", "locate"):
            upper = "All figures are upper limits: the model may name fewer regions and write shorter replies."
        elif len(self.steps) > 1:
            upper = "Prompt tokens and new tokens are upper limits: replies may be shorter."
        else:
            upper = "New tokens are an upper limit: the answer may be shorter."
        if self.prompt_tokens is None:
            return f"{upper}\nUnknown: this model does not count the tokens of a prompt before it is sent."
        return upper


def estimate(chat: Chat, strategy: str, panorama: Panorama, questions: Sequence[str], look: Look) -> Cost:
    """What questions about a panorama will cost.

    Args:
        chat: The model, which counts the tokens of prompts.
        strategy: Name of the strategy.
        panorama: The panorama; what `Answerer.prepare` returned for this strategy.
        questions: The questions.
        look: How the panorama is shown.

    Raises:
        TextError: A question is empty, too long, or not valid Unicode.
        ChatError: The model cannot take a prompt.
    """
    function = strategy_for(strategy, look)
    counted: dict[Hashable, PromptTokens] = {}
    seen: set[Hashable] = set()
    steps: dict[str, Usage] = {}
    each: list[Usage] = []
    for question in questions:
        new: set[Hashable] = set()
        drives = [_by_step(chat, function(panorama, question, look), False, counted, seen, new)]
        if drives[0][1]:
            drives.append(_by_step(chat, function(panorama, question, look), True, counted, seen, new))
        seen |= new
        most: dict[str, Usage] = {}
        for usages, _ in drives:
            for name, usage in usages.items():
                most[name] = most[name].most(usage) if name in most else usage
        each.append(sum(most.values(), Usage()))
        steps = {name: steps.get(name, Usage()) + most.get(name, Usage()) for name in dict.fromkeys((*steps, *most))}
    count, size = len(look.plan), look.size
    if look.family.reads_panoramas:  # it cuts its own views
        count, _, *sides = panorama.memo["views"].shape
        size = (sides[0], sides[1])
    return Cost(strategy, count, size, tuple(each), steps)


def estimate_all(
    chat: Chat,
    strategy: str,
    panoramas: Sequence[Panorama],
    questions: Sequence[str],
    which: Sequence[int],
    look: Look,
) -> Cost:
    """What questions about several panoramas will cost.

    Args:
        chat: As in `estimate`.
        strategy: As in `estimate`.
        panoramas: The panoramas.
        questions: The questions, at least one.
        which: For each question, the index of its panorama.
        look: As in `estimate`.

    Raises:
        TextError: As in `estimate`.
        ChatError: As in `estimate`.
    """
    groups: dict[int, list[str]] = {}
    for place, question in zip(which, questions, strict=True):
        groups.setdefault(place, []).append(question)
    first, *others = [estimate(chat, strategy, panoramas[place], group, look) for place, group in groups.items()]
    return sum(others, first)


def _by_step(
    chat: Chat,
    steps: Steps,
    other: bool,
    counted: dict[Hashable, PromptTokens],
    seen: set[Hashable],
    new: set[Hashable],
) -> tuple[dict[str, Usage], bool]:
    """What each step takes with one kind of stand-in replies, and whether there is another kind."""
    usages: dict[str, Usage] = {}
    branches = False
    for request in _requests(steps, other):
        branches |= request.other is not None
        if request.key is not None and request.key in seen:
            continue
        if request.key is not None:
            new.add(request.key)
        content = (*_content(request), request.max_new_tokens)
        if content not in counted:
            counted[content] = chat.count(request)
        tokens = counted[content]
        images = sum(kind in ("image_url", "panorama") for kind, _ in _content(request))
        usage = Usage(1, images, tokens.image, tokens.prompt, request.max_new_tokens)
        name = request.purpose or "call"
        usages[name] = usages.get(name, Usage()) + usage
    return usages, branches


def _requests(steps: Steps, other: bool) -> Iterator[Request]:
    """The requests of a strategy that gets stand-in replies."""
    try:
        requests = next(steps)
        while True:
            yield from requests
            requests = steps.send(
                [Reply(r.other if other and r.other is not None else r.largest or "") for r in requests]
            )
    except StopIteration:
        return


def _content(request: Request) -> list[tuple[str, Hashable]]:
    """Kind and content of each part of the messages."""
    found: list[tuple[str, Hashable]] = []
    for message in request.messages:
        for part in parts_of(message):
            value = part[part["type"]]
            found.append((part["type"], value["url"] if part["type"] == "image_url" else value))
    return found


def _figure(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"
