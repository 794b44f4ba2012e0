"""`Answerer`: questions about panoramas in, text out, with any kind of model and any strategy."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, overload

from panollava_geometry import ViewPlan

from panollava_hf._errors import ChatError
from panollava_hf.asking._answer import Answer, answer_of
from panollava_hf.asking._boxes import side_that_is_kept
from panollava_hf.asking._budget import Budget
from panollava_hf.asking._captions import check_single_views, view_steps, views_cost, whole_request
from panollava_hf.asking._chat import Chat, Message, OnText, Reply, Request
from panollava_hf.asking._cost import Cost, estimate, estimate_all
from panollava_hf.asking._families import Labels
from panollava_hf.asking._frame import LOOK_AROUND
from panollava_hf.asking._locate import LOCATE_PLAN, Locations, Search, locate, locate_cost, read_panorama
from panollava_hf.asking._messages import Views, check_labels, check_plan, check_size
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking.models._load import load_chat
from panollava_hf.asking.strategies import (
    STRATEGIES,
    Look,
    Steps,
    check_strategy,
    needed_width,
    run,
    strategy_for,
)

#: Maximum length of an answer, in tokens, where nothing else is asked for.
MAX_NEW_TOKENS = 256


class Answerer:
    """Answers questions about panoramas.

    Args:
        chat: The model.
        strategy: Name of the strategy; default: that of the model's family.
        plan: The views; default: four around, one up, one down.
        view_size: Height and width of a view in pixels, from 16 to 1024; default: that of the family.
        labels: Where the direction of a view is written; default: that of the family.
        system: A system prompt.

    Raises:
        ChatError: The model cannot be asked with this strategy, or cannot be shown views of one's choice.
        ViewSettingError: `view_size` or `labels` cannot be used. It is a ValueError.

    Example:
        >>> from panollava_hf import Answerer
        >>> import numpy as np
        >>> answerer = Answerer.load("embedded")
        >>> panorama = np.full((64, 128, 3), 127, dtype=np.uint8)
        >>> answerer.answer(panorama, "How many objects are there?", max_new_tokens=1).new_tokens
        1
    """

    def __init__(
        self,
        chat: Chat,
        *,
        strategy: str | None = None,
        plan: Views = LOOK_AROUND,
        view_size: int | None = None,
        labels: Labels | None = None,
        system: str | None = None,
    ) -> None:
        self.chat = chat
        plan = check_plan(plan)
        given = {"plan": plan != LOOK_AROUND, "view_size": view_size, "labels": labels, "system": system is not None}
        unused = [name for name, value in given.items() if value]
        if chat.family.reads_panoramas and unused:
            raise ChatError(
                f"{chat.name}: {', '.join(unused)} cannot be chosen for PanoLLaVA checkpoints, which cut their own "
                "views and were trained on one form of question; leave it out"
            )
        size = check_size(chat.family.view_size if view_size is None else view_size)
        if labels is not None:
            check_labels(labels)
        self.look = Look(plan, size, labels or chat.family.labels, system, MAX_NEW_TOKENS, family=chat.family)
        self.strategy = self._checked(chat.family.strategy if strategy is None else strategy)

    @classmethod
    def load(
        cls,
        name: str | None = None,
        *,
        base_url: str | None = None,
        strategy: str | None = None,
        plan: Views = LOOK_AROUND,
        view_size: int | None = None,
        labels: Labels | None = None,
        system: str | None = None,
        **options: Any,
    ) -> Self:
        """Load a model.

        Args:
            name: "embedded", a folder, a Hub id, or with `base_url` the name of a model at that endpoint; None is the
                environment's `PANOLLAVA_MODEL`, else the default model.
            base_url: Address of an OpenAI-compatible endpoint.
            strategy: As in the constructor.
            plan: As in the constructor.
            view_size: As in the constructor.
            labels: As in the constructor.
            system: As in the constructor.
            options: Arguments of the kind of model: `device`, `dtype`, `device_map`, `batch_size`, or for endpoints
                `api_key`, `timeout`, `max_retries`, `concurrency`.

        Raises:
            ModelError: There is no such model, or its files are damaged, incomplete or of another kind. It is an
                OSError and a ValueError.
            ChatError: The endpoint cannot be used.
        """
        chat = load_chat(name, base_url=base_url, **options)
        return cls(chat, strategy=strategy, plan=plan, view_size=view_size, labels=labels, system=system)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.chat.name

    @property
    def trained(self) -> bool:
        """False if the answers cannot be grounded in the image."""
        return self.chat.trained

    @property
    def model(self) -> Any:
        """The model, if it runs in this process, else None."""
        return self.chat.model

    @property
    def processor(self) -> Any:
        """The processor, if the model runs in this process, else None."""
        return self.chat.processor

    def answer(
        self,
        panorama: Any,
        question: str,
        *,
        strategy: str | None = None,
        on_text: OnText | None = None,
        max_new_tokens: int | None = None,
        budget: Budget | None = None,
        **generation: Any,
    ) -> Answer:
        """Answer one question about one panorama.

        Args:
            panorama: Path, URL, bytes, PIL image, `[H, W, 3]` array or `[3, H, W]` tensor.
            question: The question.
            strategy: Another strategy than the answerer's.
            on_text: Receives the answer piece by piece.
            max_new_tokens: Maximum length of the answer, in tokens.
            budget: The most calls and tokens; checked before anything runs.
            generation: Further arguments of `generate`; decoding is greedy unless they say otherwise.

        Raises:
            PanoramaError: The panorama cannot be read.
            TextError: The question is longer than the model reads, or not valid Unicode.
            ChatError: The model did not answer, or the budget does not suffice.
        """
        (found,) = self.answer_all(
            [panorama],
            [question],
            [0],
            strategy=strategy,
            on_text=on_text,
            max_new_tokens=max_new_tokens,
            budget=budget,
            **generation,
        )
        if isinstance(found, ChatError):
            raise found
        return found

    def answer_all(
        self,
        panoramas: Sequence[Any],
        questions: Sequence[str],
        which: Sequence[int],
        *,
        strategy: str | None = None,
        on_text: OnText | None = None,
        max_new_tokens: int | None = None,
        memo: dict[Hashable, Reply] | None = None,
        budget: Budget | None = None,
        **generation: Any,
    ) -> list[Answer | ChatError]:
        """Answer many questions about a few panoramas; their calls go to the model together.

        Args:
            panoramas: The panoramas, as in `answer`, or what `prepare` returned.
            questions: The questions.
            which: For each question, the index of its panorama.
            strategy: As in `answer`.
            on_text: As in `answer`.
            max_new_tokens: As in `answer`.
            memo: Descriptions of views made so far; give the same dictionary and what `prepare` returned again to make
                them once.
            budget: The most calls and tokens of all questions together; checked before anything runs.
            generation: As in `answer`.

        Returns:
            The answers in order. A question that failed has its error in its place.

        Raises:
            PanoramaError: A panorama cannot be read.
            TextError: A question is empty, longer than the model reads, or not valid Unicode.
            ChatError: The model cannot take the strategy, or the budget does not suffice.

        Example:
            >>> from panollava_hf import Answerer
            >>> import torch
            >>> answerer = Answerer.load("embedded")
            >>> gray = torch.full((3, 64, 128), 127, dtype=torch.uint8)
            >>> answers = answerer.answer_all([gray], ["How many cubes?", "Where is the red cube?"], [0, 0])
            >>> len(answers)
            2
        """
        name = self.strategy if strategy is None else self._checked(strategy)
        look = self.look_for(max_new_tokens, generation)
        prepared = [self.prepare(panorama, name) for panorama in panoramas]
        if budget is not None and questions:
            self._check_budget(budget, name, (prepared, questions, which, look))
        function = strategy_for(name, look)
        steps = [function(prepared[place], question, look) for place, question in zip(which, questions, strict=True)]
        return self.answers_of(
            steps, name, on_text=on_text, memo=memo, max_calls=None if budget is None else budget.calls
        )

    def answers_of(self, steps: Sequence[Steps], strategy: str, **options: Any) -> list[Answer | ChatError]:
        """Drive strategies to their answers.

        Args:
            steps: The strategies at work.
            strategy: The name that the answers get.
            options: Arguments of `strategies.run`.
        """
        family = self.chat.family
        box_format = None if family.reads_panoramas else family.box_format
        return [answer_of(finished, strategy, box_format) for finished in run(self.chat, steps, **options)]

    def cost(
        self,
        panorama: Any,
        questions: Sequence[str],
        *,
        strategy: str | None = None,
        max_new_tokens: int | None = None,
    ) -> Cost:
        """What questions about a panorama will cost, without running the model.

        Args:
            panorama: As in `answer`.
            questions: The questions.
            strategy: Another strategy than the answerer's.
            max_new_tokens: As in `answer`.

        Raises:
            PanoramaError: The panorama cannot be read.
            TextError: A question is empty, longer than the model reads, or not valid Unicode.
            ChatError: The model cannot take the strategy.

        Example:
            >>> from panollava_hf import Answerer
            >>> import torch
            >>> cost = Answerer.load("embedded").cost(torch.zeros(3, 64, 128, dtype=torch.uint8), ["How many cubes?"])
            >>> cost.calls, cost.new_tokens
            (1, 256)
        """
        name = self.strategy if strategy is None else self._checked(strategy)
        return estimate(self.chat, name, self.prepare(panorama, name), questions, self.look_for(max_new_tokens))

    def prepare(self, panorama: Any, strategy: str | None = None) -> Panorama:
        """Decode a panorama as finely as a strategy needs, and cut what the model needs. Safe in another thread.

        Args:
            panorama: As in `answer`.
            strategy: Another strategy than the answerer's.

        Raises:
            PanoramaError: The panorama cannot be read.
        """
        found = self.read(panorama, strategy)
        self.chat.prepare(found)
        return found

    def read(self, panorama: Any, strategy: str | None = None) -> Panorama:
        """Decode a panorama as finely as a strategy needs, without cutting views. Arguments are those of `prepare`."""
        return self.chat.read(panorama, max_width=needed_width(strategy or self.strategy, self.look))

    @property
    def max_positions(self) -> int | None:
        """How many tokens the model reads; None if that is not known."""
        return self.chat.max_positions

    def prompt_tokens(self, messages: Sequence[Message]) -> int | None:
        """The length of a prompt in tokens; None if the model does not count them before a request."""
        return self.chat.count(Request(messages, 1)).prompt

    def look_for(self, max_new_tokens: int | None = None, generation: Mapping[str, Any] | None = None) -> Look:
        """How panoramas are shown, with the length and other settings of an answer."""
        return replace(self.look, max_new_tokens=max_new_tokens or MAX_NEW_TOKENS, generation=generation or {})

    @overload
    def caption(
        self, panorama: Any, *, per_view: Literal[False] = False, prompt: str | None = None, **options: Any
    ) -> Answer: ...

    @overload
    def caption(
        self, panorama: Any, *, per_view: Literal[True], prompt: str | None = None, **options: Any
    ) -> list[Answer | ChatError]: ...

    def caption(
        self, panorama: Any, *, per_view: bool = False, prompt: str | None = None, **options: Any
    ) -> Answer | list[Answer | ChatError]:
        """Describe a panorama.

        Args:
            panorama: As in `answer`.
            per_view: Whether each view gets a caption of its own, in a call of its own.
            prompt: Another request than the usual one.
            options: `max_new_tokens`, `budget` and arguments of `generate`, as in `answer`; for the whole panorama also
                `strategy` and `on_text`.

        Returns:
            The caption of the whole panorama, by the answerer's strategy; with `per_view`, the captions of the views
            in their order, each with the plan of its view, and with its error in the place of one that failed.

        Raises:
            PanoramaError: The panorama cannot be read.
            TextError: The prompt is longer than the model reads, or not valid Unicode.
            ChatError: The model did not answer, the budget does not suffice, or it is a PanoLLaVA checkpoint, which
                sees all views at once.

        Example:
            >>> from panollava_hf import Answerer
            >>> import torch
            >>> answerer = Answerer.load("embedded")
            >>> answerer.caption(torch.full((3, 64, 128), 127, dtype=torch.uint8), max_new_tokens=1).calls
            1
        """
        if not per_view:
            return self.answer(panorama, whole_request(self.chat.family, prompt), **options)
        prepared, look, budget = self._views_alone(panorama, options)
        if budget is not None:
            budget.check(views_cost(self.chat, prepared, prompt, look))
        return self.answers_of(view_steps(prepared, prompt, look), "views")

    def caption_cost(self, panorama: Any, *, per_view: bool = False, prompt: str | None = None, **options: Any) -> Cost:
        """What `caption` will cost, without running the model.

        Args:
            panorama: As in `answer`.
            per_view: As in `caption`.
            prompt: As in `caption`.
            options: `strategy` and `max_new_tokens`, as in `cost`.

        Raises:
            PanoramaError: The panorama cannot be read.
            ChatError: As in `caption`.
        """
        if not per_view:
            return self.cost(panorama, [whole_request(self.chat.family, prompt)], **options)
        prepared, look, _ = self._views_alone(panorama, options)
        return views_cost(self.chat, prepared, prompt, look)

    def _views_alone(self, panorama: Any, options: dict[str, Any]) -> tuple[Panorama, Look, Budget | None]:
        """What captions of single views need.

        Raises:
            ChatError: The model sees all views at once.
        """
        check_single_views(self.chat)
        budget, max_new_tokens = options.pop("budget", None), options.pop("max_new_tokens", None)
        return self.prepare(panorama, "views"), self.look_for(max_new_tokens, options), budget

    def locate(
        self, panorama: Any, what: str, *, plan: ViewPlan = LOCATE_PLAN, budget: Budget | None = None, **options: Any
    ) -> Locations:
        """Find something, and report where it is on the panorama.

        Each view is shown by itself. An object that is seen in several views, or across the seam behind, is one region.

        Args:
            panorama: As in `answer`.
            what: What to find, such as "the red door".
            plan: Perspective views that see the whole panorama; default: eight around that overlap by 55°, up and down.
            budget: The most calls and tokens; checked before anything runs.
            options: `box_format`, how the model writes boxes, one of "qwen2-vl", "qwen2.5-vl", "qwen3-vl", "internvl",
                "gemma", "paligemma" (default: that of its family); `look_again`, False to show no object again in a
                view of its own; `max_new_tokens` of each reply.

        Raises:
            PanoramaError: The panorama cannot be read.
            ChatError: The model writes no boxes, none of its replies could be used, or the budget does not suffice.

        Example:
            >>> from panollava_hf import Answerer
            >>> import torch
            >>> Answerer.load("embedded").locate(torch.zeros(3, 64, 128, dtype=torch.uint8), "the red cube")
            Traceback (most recent call last):
            panollava_hf._errors.ChatError: embedded: PanoLLaVA checkpoints answer in words, not in boxes; ...
        """
        search = self._search(what, plan, **options)
        return locate(search, read_panorama(panorama, search.size), budget=budget)

    def locate_cost(self, panorama: Any, what: str, *, plan: ViewPlan = LOCATE_PLAN, **options: Any) -> Cost:
        """What `locate` will cost at most, without running the model. Arguments and errors are those of `locate`."""
        search = self._search(what, plan, **options)
        return locate_cost(search, read_panorama(panorama, search.size))

    def _search(self, what: str, plan: ViewPlan, *, box_format: str | None = None, **options: Any) -> Search:
        box_format = box_format or self.chat.family.box_format
        size = side_that_is_kept(self.look.size[0], box_format)
        return Search(self.chat, what, plan, size, system=self.look.system, box_format=box_format, **options)

    def fingerprint(self) -> str | None:
        """What identifies the weights; None if that is not known."""
        return self.chat.fingerprint()

    def _check_budget(
        self,
        budget: Budget,
        strategy: str,
        asked: tuple[Sequence[Panorama], Sequence[str], Sequence[int], Look],
    ) -> None:
        """Check that questions fit a budget.

        Raises:
            ChatError: They do not; the message names the strategies with which they do.
        """

        def others() -> dict[str, Cost]:
            names = [name for name in STRATEGIES if name != strategy and self._takes(name)]
            return {name: estimate_all(self.chat, name, *asked) for name in names}

        budget.check(estimate_all(self.chat, strategy, *asked), others)

    def _takes(self, strategy: str) -> bool:
        try:
            self._checked(strategy)
        except ChatError:
            return False
        return True

    def _checked(self, strategy: str) -> str:
        """The name of a strategy that this model can take."""
        check_strategy(self.chat.name, strategy, self.look, STRATEGIES)
        return strategy
