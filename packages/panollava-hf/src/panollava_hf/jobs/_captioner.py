"""`PanoramaCaptioner`: a caption of each panorama, or of each of its views."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from panollava_hf._errors import TextError, UsageError
from panollava_hf.jobs._asking import AskingJob
from panollava_hf.jobs._asking_columns import figure_types, figures, schema_of
from panollava_hf.jobs._job import Item

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer, Cost
    from panollava_hf.asking._panorama import Panorama
    from panollava_hf.asking.strategies import Steps


class PanoramaCaptioner(AskingJob):
    """Describes panoramas.

    The results have the columns `id`, `path`, `caption`, `strategy`, `calls`, `image_tokens`, `prompt_tokens`,
    `new_tokens`, `note` and `error`; numbers that the model does not report are None.

    Args:
        model: As in `Answerer.load`: "embedded", a folder, a Hub id, or with `base_url` the name of a model there.
        per_view: Whether each view gets a caption of its own, in a call of its own: then there is a column `views` of
            `{"direction", "yaw_deg", "pitch_deg", "caption"}`, and `caption` has a line for each view.
        prompt: Another request than the usual one.
        options: As in `PanoramaAnswerer`.

    Raises:
        UsageError: An option cannot be used with this kind of model, or `per_view` with another strategy than "views".
        TextError: `prompt` is empty or not valid Unicode.

    Example:
        >>> from panollava_hf import PanoramaCaptioner
        >>> import numpy as np
        >>> job = PanoramaCaptioner("embedded", max_new_tokens=1)
        >>> results = job({"image": [np.full((64, 128, 3), 127, dtype=np.uint8)]})
        >>> results["calls"], results["error"]
        ([1], [None])
    """

    answer_column = "caption"

    def __init__(
        self, model: str | None = None, *, per_view: bool = False, prompt: str | None = None, **options: Any
    ) -> None:
        super().__init__(model, **options)
        if per_view and options.get("strategy") not in (None, "views"):
            raise UsageError(
                f"strategy {options['strategy']}: with per_view each view is shown alone; leave strategy out"
            )
        if prompt is not None:
            from panollava_hf.asking._messages import check_question

            try:
                check_question(prompt)
            except TextError as error:
                raise TextError(f"prompt: {error}") from error
        self.per_view, self.prompt = per_view, prompt
        views = ("views",) if per_view else ()
        self.columns = ("caption", *views, "strategy", "calls", "image_tokens", "prompt_tokens", "new_tokens", "note")

    def settings(self) -> dict[str, Any]:
        """What determines the captions; no key is in it."""
        return super().settings() | {"per_view": self.per_view, "prompt": self.prompt}

    def load(self) -> "Answerer":
        """Load the model, or make the client of the endpoint.

        Raises:
            ModelError: There is no such model.
            ChatError: The endpoint cannot be used, or the model cannot caption single views.
        """
        answerer = super().load()
        if self.per_view:
            from panollava_hf.asking._captions import check_single_views

            check_single_views(answerer.chat)
        return answerer

    def text(self, item: Item, answerer: "Answerer") -> str:
        """The request for a caption."""
        from panollava_hf.asking._captions import VIEW, whole_request

        return self.prompt or VIEW if self.per_view else whole_request(answerer.chat.family, self.prompt)

    def strategy(self, answerer: "Answerer") -> str:
        """The name that captions get."""
        return "views" if self.per_view else answerer.strategy

    def begin(self, answerer: "Answerer", panorama: "Panorama", text: str) -> "list[Callable[[], Steps]]":
        """What begins the strategy of each caption."""
        if not self.per_view:
            return super().begin(answerer, panorama, text)
        from panollava_hf.asking._captions import view_steps

        look = answerer.look_for(self.max_new_tokens)

        def begin(place: int) -> "Steps":
            return view_steps(panorama, text, look)[place]

        return [partial(begin, place) for place in range(len(look.plan))]

    def cost(self, answerer: "Answerer", panorama: "Panorama", texts: Sequence[str]) -> "Cost":
        """What captions of one image cost."""
        if not self.per_view:
            return super().cost(answerer, panorama, texts)
        options: dict[str, Any] = {"prompt": self.prompt, "max_new_tokens": self.max_new_tokens}
        costs = [answerer.caption_cost(panorama, per_view=True, **options) for _ in texts]
        return replace(sum(costs[1:], costs[0]), views=costs[0].views)

    def row(self, item: Item, found: "list[Answer]") -> Mapping[str, Any]:
        """The captions of a panorama, and what they cost."""
        if not self.per_view:
            return {"caption": None if found[0].unknown else found[0].text, **figures(found)}
        from panollava_hf.asking._directions import direction, label

        views, lines = [], []
        for answer in found:
            view: Any = answer.plan[0]
            yaw, pitch = float(view.yaw_deg), float(view.pitch_deg)
            where = {"direction": direction(yaw, pitch), "yaw_deg": yaw, "pitch_deg": pitch}
            views.append({**where, "caption": None if answer.unknown else answer.text})
            if not answer.unknown:
                lines.append(f"{label(view)}: {answer.text}")
        return {"caption": "\n".join(lines) or None, "views": views, **figures(found)}

    def schema(self) -> Any:
        """The `pyarrow.Schema` of the results."""
        import pyarrow as pa

        where = [("direction", pa.string()), ("yaw_deg", pa.float64()), ("pitch_deg", pa.float64())]
        views = {"views": pa.list_(pa.struct([*where, ("caption", pa.string())]))} if self.per_view else {}
        return schema_of({"caption": None, **views, **figure_types()})
