"""What the jobs share that ask a model about panoramas: which model, how it is asked, and rows in work.

A model in this process answers the rows of a batch together. An endpoint gets the rows one by one, `concurrency` at the
same time, whatever the batches are.
"""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from panollava_hf._errors import ChatError, TextError, UsageError, one_line
from panollava_hf.jobs._asking_columns import renamed
from panollava_hf.jobs._device import accelerator
from panollava_hf.jobs._flow import Flow, Watch
from panollava_hf.jobs._job import Batch, Item, Job, Prepared, items_of
from panollava_hf.jobs._model_source import weights_of, whole_address, without_progress_bar
from panollava_hf.jobs._reading import redirects
from panollava_hf.jobs._shared import SharedImage, SharedImages

if TYPE_CHECKING:
    from panollava_hf.asking import Answer, Answerer, Cost
    from panollava_hf.asking._families import Labels
    from panollava_hf.asking._panorama import Panorama
    from panollava_hf.asking.strategies import Steps

#: Widest panorama that is decoded where options say what the image shows.
_MAX_WIDTH = 16_384

#: Replies of descriptions that several questions share, by the keys of their requests.
Memo = dict[Hashable, Any]
#: Strategies whose questions share no calls.
_ALONE = ("views", "erp")


class AskingJob(Job):
    """A job that asks a model about each panorama.

    Args:
        model: "embedded", a folder, a Hub id, or with `base_url` the name of a model at that endpoint; None is the
            environment's `PANOLLAVA_MODEL`, else the default model.
        base_url: Address of an OpenAI-compatible endpoint. Its key is read from `OPENAI_API_KEY` in the environment of
            the process that sends the requests; on a cluster, set it there (`ray.init(runtime_env={"env_vars": …})`,
            or the machines' own environment). User, password and query of the address do not leave this process:
            another one reads the address from its `OPENAI_BASE_URL`.
        strategy: Name of the strategy; None: that of the model's family.
        view_size: Height and width of a view in pixels; None: that of the family.
        labels: Where the direction of a view is written; None: that of the family.
        system: A system prompt.
        max_new_tokens: Maximum length of a reply, in tokens.
        device: Device of a local model; None: the accelerator of the process, else the CPU.
        dtype: Floating-point type of a local model; None: as stored.
        batch_size: Rows per call; for a local model also the requests that it answers together.
        concurrency: Requests to an endpoint at the same time; None: 6.
        timeout: Timeout of a request to an endpoint in seconds; None: 180.
        max_retries: How often such a request is repeated after a failure that may pass; None: 4.
        hfov_deg: Horizontal field of view of partial panoramas in degrees.
        partial: Whether the images show a part of the sphere.
        eye: The images are stereo panoramas; read the "left" or the "right" one.
        whole_sphere: The images show the whole sphere although they are not 2:1.
        private_redirects: Whether URLs of images may redirect from a public address to a private one.
        columns: Column of each field, where it has another name, such as `{"image": "photo", "question": "text"}`.

    Raises:
        UsageError: Options of endpoints are given without `base_url`, or those of local models with it.
        ChatError: The address is not http(s).
        ModelError: The name of the model is empty.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        strategy: str | None = None,
        view_size: int | None = None,
        labels: "Labels | None" = None,
        system: str | None = None,
        max_new_tokens: int = 256,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        concurrency: int | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        hfov_deg: float | None = None,
        partial: bool | None = None,
        eye: Literal["left", "right"] | None = None,
        whole_sphere: bool = False,
        private_redirects: bool = False,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if max_new_tokens < 1 or (batch_size is not None and batch_size < 1):
            raise UsageError(f"max_new_tokens and batch_size must be at least 1, got {max_new_tokens} and {batch_size}")
        remote = {"concurrency": concurrency, "timeout": timeout, "max_retries": max_retries}
        local = {"device": device, "dtype": dtype}
        unused = [name for name, value in (remote if base_url is None else local).items() if value is not None]
        if unused:
            remedy = "pass base_url, too, or leave it out" if base_url is None else "the server decides; leave it out"
            raise UsageError(
                f"{', '.join(unused)} cannot be used {'without' if base_url is None else 'with'} base_url; {remedy}"
            )
        from panollava_hf.asking._default_model import named_model

        self.model_name, self.base_url, self._address = named_model(model), base_url, base_url
        self.private = False
        if base_url is not None:
            from panollava_hf.asking.models.endpoint._address import read_address

            self.gpus_per_worker = 0
            found = read_address(base_url)
            self.base_url, self.private = found.url, bool(found.query or found.authorization or found.secrets)
        self._shown: dict[str, Any] = {"strategy": strategy, "view_size": view_size, "labels": labels, "system": system}
        self._options: dict[str, Any] = {name: value for name, value in (local | remote).items() if value is not None}
        if base_url is None and batch_size is not None:
            self._options["batch_size"] = batch_size
        if batch_size is not None:
            self.batch_size = batch_size
        elif concurrency is not None:
            self.batch_size = max(self.batch_size, 2 * concurrency)
        self.part_rows = 1  # files of one batch, so that a run that was killed asks few rows again
        self.max_new_tokens = max_new_tokens
        reading: dict[str, Any] = {
            "hfov_deg": hfov_deg,
            "partial": partial,
            "eye": eye,
            "whole_sphere": whole_sphere or None,
        }
        self._reading: dict[str, Any] = {name: value for name, value in reading.items() if value is not None}
        if self._reading:  # geometry is imported only for them
            from panollava_geometry.files import check_options

            check_options(**self._reading)
        self.private_redirects = private_redirects
        self._names = dict(columns or {})
        self._flow: Flow | None = None
        self._images: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """All settings but those that are of this process: the model, rows in work, and an address with a password."""
        return super().__getstate__() | {
            "_address": None if self.private else self._address,
            "_flow": None,
            "_images": None,
        }

    def settings(self) -> dict[str, Any]:
        """What determines the results: the model with a digest of its weights, and how it is asked; no key is in it."""
        return {
            "job": type(self).__name__,
            "model": self.model_name,
            "weights": None if self.base_url is not None else weights_of(self.model_name),
            "base_url": self.base_url,
            **self._shown,
            "max_new_tokens": self.max_new_tokens,
            **self._reading,
            "columns": self._names,
        }

    def load(self) -> "Answerer":
        """Load the model, or make the client of the endpoint.

        Raises:
            ModelError: There is no such model.
            ChatError: The endpoint cannot be used, or the model does not take the strategy.
        """
        from panollava_hf.asking import Answerer

        options = dict(self._options)
        if self.base_url is None:
            options.setdefault("device", accelerator())
        with without_progress_bar(self.model_name if self.base_url is None else None):
            answerer = Answerer.load(
                self.model_name, base_url=whole_address(self.base_url, self._address), **self._shown, **options
            )
        if not answerer.trained:
            from panollava_hf._console import note

            note("the connector of this checkpoint is untrained; its answers are not grounded in the image.")
        if self.base_url is not None:
            # Some rows are read, and some wait after a failure, while others are at the server.
            self._flow = Flow(2 * answerer.chat.batch_size)
            answerer.chat.tries_again = False  # type: ignore[attr-defined]  # it is an EndpointChat
        self._images = SharedImages()
        return answerer

    @abstractmethod
    def text(self, item: Item, answerer: "Answerer") -> str:
        """What a row asks.

        Raises:
            TextError: It asks nothing.
        """

    @abstractmethod
    def row(self, item: Item, found: "list[Answer]") -> Mapping[str, Any]:
        """The values of `columns` of a row, from the answers that its strategies found."""

    def strategy(self, answerer: "Answerer") -> str:
        """The name that answers get."""
        return answerer.strategy

    def begin(self, answerer: "Answerer", panorama: "Panorama", text: str) -> "list[Callable[[], Steps]]":
        """For each answer that a row needs, what begins the strategy that finds it; after a failure it begins again."""
        from panollava_hf.asking.strategies import strategy_for

        look = answerer.look_for(self.max_new_tokens)
        function = strategy_for(answerer.strategy, look)
        return [lambda: function(panorama, text, look)]

    def cost(self, answerer: "Answerer", panorama: "Panorama", texts: Sequence[str]) -> "Cost":
        """What rows with one image cost."""
        return answerer.cost(panorama, texts, max_new_tokens=self.max_new_tokens)

    def read(self, item: Item) -> "Panorama":
        """Decode one panorama, and cut what the model needs.

        Raises:
            PanoramaError: It cannot be read.
        """
        return self.read_with(self.model, item)

    def read_with(self, answerer: "Answerer", item: Item) -> "Panorama":
        """`read` for a model that is not that of the job, such as one without weights."""
        image = item.image
        with redirects(self.private_redirects):
            if self._reading:
                from panollava_geometry import load_equirectangular

                image = load_equirectangular(image, max_width=_MAX_WIDTH, **self._reading)
            panorama = answerer.prepare(image)
        if not answerer.chat.family.reads_panoramas:  # cut here, in a thread
            if self.strategy(answerer) == "erp":
                panorama.whole()
            else:
                panorama.views(answerer.look.plan, answerer.look.size)
        return panorama

    def prepare(self, batch: Batch) -> Prepared:
        """Read the images of a batch, each once; at an endpoint, hand the rows over instead."""
        items = items_of(renamed(batch, self._names))
        prepared = Prepared(items, [None] * len(items), [None] * len(items))
        answerer: Answerer = self.model
        given = batch.get("error", [None] * len(items))
        for index, item in enumerate(items):
            if isinstance(given[index], str) and given[index]:  # a row that its source could not read
                prepared.errors[index] = given[index]
                continue
            try:
                text = self.text(item, answerer)
            except TextError as error:
                prepared.errors[index] = one_line(error)
                continue
            image, reader = self._images.find(item.image), partial(self.read, item)
            if self._flow is not None:
                prepared.inputs[index] = self._flow.submit(self._task(answerer, image, reader, text, self._flow.watch))
                continue
            panorama = image.read(reader)
            if isinstance(panorama, Exception):
                prepared.errors[index] = one_line(panorama)
            prepared.inputs[index] = (image, panorama, text)
        return prepared

    def compute(self, items: Sequence[Item], inputs: Sequence[Any]) -> list[Mapping[str, Any] | Exception]:
        """Answer the rows of a batch; those at an endpoint are in work already.

        Raises:
            ChatError: The endpoint does not answer any more.
        """
        answerer: Answerer = self.model
        if self._flow is None:
            found = self._together(answerer, [(panorama, text) for _, panorama, text in inputs], {})
        else:
            done, _ = wait(inputs, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()  # raises at once, although other rows are in work
            found = [future.result() for future in inputs]
        return [self._result(item, outcomes) for item, outcomes in zip(items, found, strict=True)]

    def _result(self, item: Item, found: "list[Any]") -> Mapping[str, Any] | Exception:
        errors = [one for one in found if isinstance(one, Exception)]
        if not errors:
            return self.row(item, found)
        head = "" if len(found) == 1 else f"{len(errors)} of {len(found)} views have no caption; the first error: "
        return ChatError(head + one_line(errors[0]))

    def _together(self, answerer: "Answerer", rows: "Sequence[tuple[Panorama, str]]", memo: Memo) -> "list[list[Any]]":
        """The answers of each row by a local model. If a question is too long, the others are answered without it."""
        begins = [self.begin(answerer, panorama, text) for panorama, text in rows]
        steps = [begin() for each in begins for begin in each]
        try:
            found = iter(answerer.answers_of(steps, self.strategy(answerer), memo=memo))
        except TextError as error:
            if len(rows) == 1:
                return [[error]]
            half = len(rows) // 2
            return [*self._together(answerer, rows[:half], memo), *self._together(answerer, rows[half:], memo)]
        return [[next(found) for _ in each] for each in begins]

    def _task(
        self, answerer: "Answerer", image: SharedImage, reader: "Callable[[], Panorama]", text: str, watch: Watch
    ) -> "Callable[[], list[Any]]":
        """What answers a row at an endpoint: its answers, or their errors.

        While there is no connection, requests are sent again until there is one or the watch ends the job: that is no
        failure of the row.
        """

        def answer() -> list[Any]:
            panorama = image.read(reader)
            if isinstance(panorama, Exception):
                return [panorama]
            begins = self.begin(answerer, panorama, text)
            found: list[Any] = [None] * len(begins)
            waiting = list(range(len(begins)))
            while waiting:
                before = watch.contacts
                outcomes = self._asked(answerer, image, [begins[place]() for place in waiting])
                watch.add(outcomes, before)
                for place, outcome in zip(waiting, outcomes, strict=True):
                    found[place] = outcome
                waiting = [place for place in waiting if _is_unreachable(found[place])]
            return found

        return answer

    def _asked(self, answerer: "Answerer", image: SharedImage, steps: "list[Steps]") -> "list[Any]":
        """Outcomes of strategies; the first question about an image makes the descriptions for all."""
        name = self.strategy(answerer)
        if name not in _ALONE and not image.described:
            with image.asking:
                if not image.described:
                    found = answerer.answers_of(steps, name, memo=image.memo)
                    image.described = not any(isinstance(one, ChatError) for one in found)
                    return found
        return answerer.answers_of(steps, name, memo=image.memo)


def _is_unreachable(found: Any) -> bool:
    return isinstance(found, ChatError) and found.scope == "unreachable"
