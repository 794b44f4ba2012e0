"""The models that a page offers, and how each can be asked."""

from collections.abc import Sequence

from panollava_geometry import PerspectiveView, ViewPlan, plan_views

from panollava_hf._errors import ChatError, UsageError
from panollava_hf.asking import Answerer
from panollava_hf.asking._frame import LOOK_AROUND
from panollava_hf.asking.models._endpoint import EndpointChat
from panollava_hf.asking.strategies import STRATEGIES
from panollava_hf.demo._line import Line

#: What each strategy does, for people who choose one.
STRATEGY_NAMES = {
    "views": "views: all views in one call",
    "describe": "describe: each view by itself, then the answer",
    "zoom": "zoom: describe, then look closer at regions",
    "erp": "erp: the flat panorama as one image",
}
#: The plans that can be chosen. The first is the default of all strategies.
PLANS: dict[str, ViewPlan] = {
    "6 views: around, up, down": LOOK_AROUND,
    "6 cube faces": plan_views("cubemap"),
    "10 views: ring of 8, up, down": ViewPlan(
        [*(PerspectiveView(45.0 * step - 135.0, 0.0, hfov_deg=100.0) for step in range(8)), *list(LOOK_AROUND)[4:]]
    ),
    "4 views around": ViewPlan(list(LOOK_AROUND)[:4]),
}
DEFAULT_PLAN = next(iter(PLANS))
#: What is shown where nothing can be chosen.
OWN_VIEWS = "the model's own views"


class Models:
    """The models of a page, with a line of waiting questions for those in this process and one for endpoints.

    Args:
        answerers: The models, as `Answerer.load` makes them; names must differ.
        max_waiting: Most questions that wait or are answered by the models of one line.

    Raises:
        UsageError: There is none, or two have the same name.
    """

    def __init__(self, answerers: Sequence[Answerer], *, max_waiting: int = 32) -> None:
        self._answerers = {answerer.name: answerer for answerer in answerers}
        if not answerers or len(self._answerers) != len(answerers):
            raise UsageError(f"expected one or more models of different names, got {len(answerers)}")
        self._local = Line(1, max_waiting)
        remote = [answerer.chat for answerer in answerers if isinstance(answerer.chat, EndpointChat)]
        self._remote = Line(max((chat.concurrency for chat in remote), default=1), max_waiting)

    @property
    def names(self) -> list[str]:
        """The names in order."""
        return list(self._answerers)

    def answerer(self, name: str) -> Answerer:
        """A model.

        Raises:
            UsageError: The page has no such model.
        """
        if name not in self._answerers:
            raise UsageError(f"{str(name)[:80]!r} is not a model of this page; choose one of the list")
        return self._answerers[name]

    def line(self, name: str) -> Line:
        """The line that questions to a model wait in."""
        return self._remote if isinstance(self.answerer(name).chat, EndpointChat) else self._local

    def strategies(self, name: str) -> list[str]:
        """The strategies that a model can take; its default is the first."""
        answerer = self.answerer(name)
        if answerer.chat.family.reads_panoramas:
            return [answerer.strategy]
        found = [answerer.strategy]
        for strategy in STRATEGIES:
            try:
                Answerer(answerer.chat, strategy=strategy)
            except ChatError:
                continue
            found.append(strategy)
        return list(dict.fromkeys(found))

    def plans(self, name: str) -> list[str]:
        """The names of the plans that a model can be shown; the default is the first."""
        return [OWN_VIEWS] if self.answerer(name).chat.family.reads_panoramas else list(PLANS)

    def stop(self) -> None:
        """Stop all questions. Safe in a signal handler."""
        self._local.stop()
        self._remote.stop()

    def close(self) -> None:
        """Stop all questions and wait for their threads."""
        self._local.close()
        self._remote.close()


def configured(answerer: Answerer, chat: object, strategy: str, plan: str) -> Answerer:
    """The same model with another strategy and plan.

    Args:
        answerer: The model as it was loaded.
        chat: What speaks with it.
        strategy: Name of the strategy.
        plan: Name of the plan.

    Raises:
        UsageError: There is no such plan.
        ChatError: The model cannot take the strategy.
    """
    if answerer.chat.family.reads_panoramas:
        return type(answerer)(chat)  # type: ignore[arg-type]
    if plan not in PLANS:
        raise UsageError(f"{str(plan)[:80]!r} is not a view plan of this page; choose one of the list")
    look = answerer.look
    return type(answerer)(
        chat,  # type: ignore[arg-type]
        strategy=strategy,
        plan=look.plan if plan == DEFAULT_PLAN else PLANS[plan],
        view_size=look.size[0],
        labels=look.labels,
        system=look.system,
    )
