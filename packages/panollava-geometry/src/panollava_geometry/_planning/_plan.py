"""`ViewPlan`: a frozen sequence of views and its JSON form."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from panollava_geometry._arrays._sizes import MAX_VIEWS, Size, check_result, size_pair
from panollava_geometry._errors import PanoramaError, boundary, short
from panollava_geometry._views._coverage import Coverage, coverage
from panollava_geometry._views._footprint import required_width
from panollava_geometry._views._views import View, view_from_dict

#: A plan as the functions take it.
Views = View | Sequence[View]
_FORMAT = "panollava-view-plan"
_VERSION = 1


@dataclass(frozen=True, init=False)
class ViewPlan(Sequence[View]):
    """A frozen, hashable sequence of views.

    Args:
        views: The views, at least one.

    Raises:
        PanoramaError: There are no views, more than 10000, or an item is not a view.

    Example:
        >>> from panollava_geometry import PerspectiveView, ViewPlan
        >>> plan = ViewPlan([PerspectiveView(0.0), PerspectiveView(90.0)])
        >>> len(plan), ViewPlan.from_json(plan.to_json()) == plan
        (2, True)
    """

    views: tuple[View, ...]

    def __init__(self, views: Iterable[object]) -> None:
        if not isinstance(views, Iterable):
            raise PanoramaError(f"a ViewPlan takes a list of views, got {type(views).__name__}")
        members = tuple(itertools.islice(views, MAX_VIEWS + 1))
        if len(members) > MAX_VIEWS:
            raise PanoramaError(f"a ViewPlan has at most {MAX_VIEWS} views, got more: split it into several plans")
        if not members:
            raise PanoramaError("a ViewPlan needs at least one view, got none")
        for member in members:
            if not isinstance(member, View):
                raise PanoramaError(
                    "a ViewPlan takes views, such as PerspectiveView and EquirectangularView, got "
                    f"{type(member).__name__}"
                )
        object.__setattr__(self, "views", members)

    def __len__(self) -> int:
        return len(self.views)

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> "ViewPlan": ...
    def __getitem__(self, index: int | slice) -> "View | ViewPlan":
        return ViewPlan(self.views[index]) if isinstance(index, slice) else self.views[index]

    def __iter__(self) -> Iterator[View]:
        return iter(self.views)

    def required_width(self, size: Size) -> int:
        """Width of the panorama whose pixels are as small as the smallest pixel of any view of this `size`.

        Args:
            size: Height and width of every view in pixels, or one number for both.

        Example:
            >>> from panollava_geometry import EquirectangularView, ViewPlan
            >>> ViewPlan([EquirectangularView()]).required_width((224, 448))
            448
        """
        pair = size_pair(size)
        check_result(1, pair, 1, 1)
        return required_width(self.views, pair)

    def coverage(self) -> Coverage:
        """Measure how much of the sphere the views see, and how many views see a direction.

        Example:
            >>> from panollava_geometry import PerspectiveView, ViewPlan
            >>> round(ViewPlan([PerspectiveView(0.0)]).coverage().seen, 2)
            0.17
        """
        return coverage(self.views)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary for JSON."""
        return {"format": _FORMAT, "version": _VERSION, "views": [view.to_dict() for view in self.views]}

    @classmethod
    def from_dict(cls, data: object) -> "ViewPlan":
        """Make a plan from the dictionary that `to_dict` returned.

        Raises:
            PanoramaError: The data are not a view plan, or their version is unknown.
        """
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            raise PanoramaError(f'not a view plan: expected an object with "format": "{_FORMAT}"')
        if data.get("version") != _VERSION:
            raise PanoramaError(
                f"view plan version {short(data.get('version'))} is unknown: this release reads version {_VERSION}"
            )
        views = data.get("views")
        if not isinstance(views, Sequence) or isinstance(views, str) or not all(isinstance(v, Mapping) for v in views):
            raise PanoramaError('"views" of a view plan must be a list of objects')
        return cls(view_from_dict(view) for view in views)

    def to_json(self, *, indent: int | None = 2) -> str:
        """The plan as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def from_json(cls, text: str) -> "ViewPlan":
        """Make a plan from JSON text.

        Raises:
            PanoramaError: The text is not JSON, or not a view plan.
        """
        with boundary("a view plan must be JSON", "pass the text that ViewPlan.to_json returned"):
            data = json.loads(text)  # also RecursionError, and ValueError for numbers of thousands of digits
        return cls.from_dict(data)


def is_one_plan(plan: object) -> bool:
    """Whether an argument is a view, a plan, or a list of views."""
    if isinstance(plan, View | ViewPlan):
        return True
    return isinstance(plan, Sequence) and bool(plan) and all(isinstance(item, View) for item in plan)


def as_plan(views: Views) -> ViewPlan:
    """The plan of an argument that may also be a single view or a list of views.

    Raises:
        PanoramaError: It is something else.
    """
    if isinstance(views, ViewPlan):
        return views
    if isinstance(views, View):
        return ViewPlan([views])
    if not isinstance(views, Sequence) or isinstance(views, str | bytes):
        raise PanoramaError(f"expected a ViewPlan, a view or a list of views, got {type(views).__name__}")
    if any(isinstance(view, Sequence) for view in views):
        raise PanoramaError(
            "got a list of plans, but the panoramas of a batch have one plan: call the function once per panorama"
        )
    return ViewPlan(views)
