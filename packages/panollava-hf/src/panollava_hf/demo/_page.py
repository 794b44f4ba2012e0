"""The page: its elements, and which event belongs to which."""

import asyncio
import html
from collections.abc import AsyncIterator, Mapping
from typing import Any

import gradio as gr

from panollava_hf.demo import _fragments as fragments
from panollava_hf.demo._events import KNOWN, Asked, Events
from panollava_hf.demo._evidence import evidence_figure, methods
from panollava_hf.demo._line import Done, Progress
from panollava_hf.demo._loading import DEFAULT_SHAPE, SHAPES
from panollava_hf.demo._models import STRATEGY_NAMES
from panollava_hf.demo._names import ELEMENTS as IDS
from panollava_hf.demo._samples import Sample
from panollava_hf.demo._sessions import Session, Shown
from panollava_hf.demo._stoppable import Stopped
from panollava_hf.demo._updates import updates

#: Seconds after which Gradio looks for uploads that no event has read, and their age in seconds.
_CACHE = (60, 300)
#: Events that load panoramas at the same time.
_LOADING = 2
_EMPTY_VIEWS = '<p class="quiet">After an answer, the views that the model received are shown here.</p>'
_EMPTY_MAP = '<p class="quiet">After an answer, the outlines of its views are shown here on the flat panorama.</p>'
_EMPTY_EVIDENCE = (
    '<p class="quiet">Which parts of the panorama does the answer rest on? The computation can take longer than the '
    "answer. Choose a method and press <em>Show the evidence</em>.</p>"
)


def build_page(events: Events) -> gr.Blocks:
    """The page.

    Args:
        events: What happens when something is used.
    """
    page = gr.Blocks(title=events.settings.title, analytics_enabled=False, delete_cache=_CACHE, fill_width=True)
    with page:
        _Page(events, page)
    page.queue(max_size=None, api_open=True)
    return page


class _Page:
    """The elements of a page. `all_of` lists the values that an event changes."""

    def __init__(self, events: Events, page: gr.Blocks) -> None:
        self.events = events
        names = events.models.names
        gr.HTML(_header(names), elem_id="page-header")
        with gr.Row(elem_id="main-row"):
            with gr.Column(scale=7, min_width=320, elem_id="viewer-column"):
                gr.HTML(_VIEWER, elem_id=IDS["viewer_box"])
                self.state = gr.HTML(fragments.state(None), elem_id=IDS["viewer_state"])
                gr.HTML(fragments.compass(), elem_id=IDS["compass"])
                self.spots = gr.HTML("", elem_id=IDS["spots"])
            with gr.Column(scale=5, min_width=320, elem_id="chat-column"):
                self._chooser()
                self.chat = gr.Chatbot(
                    label="Questions and answers",
                    elem_id=IDS["chat"],
                    height=None,
                    min_height=180,
                    max_height=360,
                    buttons=[],
                    feedback_options=None,
                    allow_tags=False,
                    latex_delimiters=[],
                    placeholder="Ask something about the panorama.",
                )
                self.suggestions = gr.HTML("", elem_id="suggestions")
                with gr.Row(elem_id="question-row"):
                    self.question = gr.Textbox(
                        label="Question",
                        placeholder="Write a question, and press Enter",
                        lines=1,
                        max_lines=4,
                        max_length=4000,
                        scale=5,
                        min_width=200,
                        elem_id=IDS["question"],
                        autofocus=False,
                    )
                    self.ask = gr.Button("Ask", variant="primary", scale=1, min_width=80, elem_id=IDS["ask"])
                    self.stop = gr.Button(
                        "Stop", variant="stop", scale=1, min_width=80, interactive=False, elem_id=IDS["stop"]
                    )
                self.status = gr.HTML(fragments.message(""), elem_id=IDS["status"])
                self._options(names)
        self._results()
        self._connect(page)

    def _chooser(self) -> None:
        with gr.Accordion("Choose a panorama", open=True, elem_id="chooser"):
            with gr.Tab("Sample"):
                titles = list(self.events.samples)
                self.sample = gr.Radio(titles, value=titles[0], label="Sample", elem_id=IDS["samples"])
            with gr.Tab("File"):
                self.upload = gr.File(
                    label=f"Image file, at most {self.events.settings.max_upload_mb} MB; deleted when it has been read",
                    file_count="single",
                    type="filepath",
                    height=110,
                    elem_id=IDS["upload"],
                )
            with gr.Tab("URL"), gr.Row():
                self.url = gr.Textbox(
                    label="URL of an image",
                    placeholder="https://…",
                    max_length=2000,
                    scale=3,
                    min_width=160,
                    elem_id=IDS["url"],
                )
                self.load_url = gr.Button("Load", scale=1, min_width=80, elem_id=IDS["load_url"])

    def _options(self, names: list[str]) -> None:
        models = self.events.models
        with gr.Accordion("Settings: model, strategy, kind of image", open=False, elem_id="options"):
            self.model = gr.Dropdown(names, value=names[0], label="Model", elem_id=IDS["model"])
            choices = models.strategies(names[0])
            self.strategy = gr.Dropdown(
                _strategies(choices),
                value=choices[0],
                label="Strategy: how the panorama is shown to the model",
                interactive=len(choices) > 1,
                elem_id=IDS["strategy"],
            )
            plans = models.plans(names[0])
            self.plan = gr.Dropdown(
                plans, value=plans[0], label="View plan", interactive=len(plans) > 1, elem_id=IDS["plan"]
            )
            self.length = gr.Slider(
                1,
                4 * self.events.settings.max_new_tokens,
                value=self.events.settings.max_new_tokens,
                step=1,
                label="Maximum length of an answer, in tokens",
                elem_id=IDS["length"],
            )
            self.shape = gr.Dropdown(
                list(SHAPES), value=DEFAULT_SHAPE, label="What files and URLs show", elem_id=IDS["shape"]
            )
            self.new_chat = gr.Button("New conversation", size="sm", elem_id=IDS["new_chat"])

    def _results(self) -> None:
        with gr.Tabs(elem_id=IDS["tabs"]):
            with gr.Tab("Views", elem_id="tab-views"):
                self.facts = gr.HTML("", elem_id=IDS["facts"])
                self.views = gr.HTML(_EMPTY_VIEWS, elem_id=IDS["views"])
            with gr.Tab("Map", elem_id="tab-map"):
                self.map = gr.HTML(_EMPTY_MAP, elem_id=IDS["map"])
            with gr.Tab("Evidence", elem_id="tab-evidence"):
                with gr.Row():
                    names = methods()
                    self.method = gr.Dropdown(
                        names,
                        value=names[0],
                        label="Method",
                        scale=3,
                        min_width=160,
                        elem_id=IDS["evidence_method"],
                    )
                    self.explain = gr.Button("Show the evidence", scale=1, min_width=140, elem_id=IDS["explain"])
                self.evidence = gr.HTML(_EMPTY_EVIDENCE, elem_id=IDS["evidence"])
            with gr.Tab("Find", elem_id="tab-find"), gr.Row():
                self.wanted = gr.Textbox(
                    label="What to find",
                    placeholder="the red door",
                    max_length=300,
                    scale=3,
                    min_width=160,
                    elem_id=IDS["wanted"],
                )
                self.find = gr.Button("Find", scale=1, min_width=80, elem_id=IDS["find"])

    def _connect(self, page: gr.Blocks) -> None:
        shown = [
            self.state, self.spots, self.status, self.chat, self.suggestions, self.facts, self.views, self.map,
            self.evidence, self.question, self.sample,
        ]  # fmt: skip
        busy = [
            self.chat, self.question, self.status, self.state, self.spots, self.facts, self.views, self.map,
            self.evidence, self.ask, self.stop, self.explain, self.find,
        ]  # fmt: skip
        loading: dict[str, Any] = {
            "concurrency_limit": _LOADING,
            "concurrency_id": "loading",
            "show_progress": "hidden",
        }
        asking: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden"}
        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
        page.load(updates(self.on_open), None, shown, api_visibility="private", **loading)
        page.unload(self.on_close)
        self.sample.input(updates(self.on_sample), self.sample, shown, api_name="load_sample", **loading)
        self.upload.upload(
            updates(self.on_file), [self.upload, self.shape], [*shown, self.upload], api_name="load_file", **loading
        )
        gr.on(
            [self.load_url.click, self.url.submit],
            updates(self.on_url), [self.url, self.shape], shown, api_name="load_url", **loading,
        )  # fmt: skip
        inputs = [self.question, self.model, self.strategy, self.plan, self.length]
        gr.on([self.ask.click, self.question.submit], updates(self.on_ask), inputs, busy, api_name="ask", **asking)
        gr.on(
            [self.find.click, self.wanted.submit],
            updates(self.on_find),
            [self.wanted, self.model],
            busy,
            api_name="find",
            **asking,
        )
        self.explain.click(updates(self.on_explain), [self.model, self.method], busy, api_name="explain", **asking)
        self.stop.click(self.on_stop, None, None, api_name="stop", **at_once)
        self.new_chat.click(updates(self.on_new_chat), None, shown, api_name="new_chat", **at_once)
        self.chat.clear(updates(self.on_new_chat), None, shown, api_visibility="private", **at_once)
        self.model.change(updates(self.on_model), self.model, [self.strategy, self.plan], api_name="choose", **at_once)

    # Loading

    def on_open(self, request: gr.Request) -> tuple[Any, ...]:
        """A page was opened: it shows the first sample."""
        return self._shown(*self.events.load_sample(request.session_hash, next(iter(self.events.samples))))

    def on_close(self, request: gr.Request) -> None:
        """A page was closed."""
        self.events.sessions.end(request.session_hash)

    def on_sample(self, title: str, request: gr.Request) -> tuple[Any, ...]:
        """A sample was chosen."""
        return self._shown(*self.events.load_sample(request.session_hash, title))

    def on_file(self, path: str | None, shape: str, request: gr.Request) -> tuple[Any, ...]:
        """A file was uploaded."""
        if path is None:
            return (*[gr.skip()] * 11, None)
        return (*self._shown(*self.events.load_file(request.session_hash, path, shape)), None)

    def on_url(self, url: str, shape: str, request: gr.Request) -> tuple[Any, ...]:
        """A URL was given."""
        return self._shown(*self.events.load_url(request.session_hash, url, shape))

    def on_new_chat(self, request: gr.Request) -> tuple[Any, ...]:
        """A new conversation about the same panorama."""
        return self._shown(self.events.new_chat(request.session_hash), fragments.message("A new conversation."))

    def on_model(self, name: str) -> tuple[Any, Any]:
        """Another model was chosen."""
        strategies, plans = self.events.models.strategies(name), self.events.models.plans(name)
        return (
            gr.Dropdown(_strategies(strategies), value=strategies[0], interactive=len(strategies) > 1),
            gr.Dropdown(plans, value=plans[0], interactive=len(plans) > 1),
        )

    def _shown(self, session: Session, status: str) -> tuple[Any, ...]:
        """The page of a session whose panorama or conversation changed; after an error, they are unchanged."""
        if "status-error" in status:
            return (gr.skip(), gr.skip(), status, *[gr.skip()] * 8)
        state = fragments.state(session.shown)
        name = "" if session.shown is None else session.shown.name
        sample = name if name in self.events.samples else None  # so that the sample can be chosen again
        results = ("", _EMPTY_VIEWS, _EMPTY_MAP, _EMPTY_EVIDENCE)
        return (state, "", status, session.turns, _suggested(session, self.events.samples), *results, "", sample)

    # Asking

    async def on_ask(
        self, question: str, model: str, strategy: str, plan: str, length: int, request: gr.Request
    ) -> AsyncIterator[dict[Any, Any]]:
        """A question was asked."""
        key = request.session_hash
        session = self.events.sessions.of(key)
        shown, text, before = session.shown, question.strip(), list(session.turns)
        turn = {"role": "user", "content": text}
        partial = ""
        try:
            async for event in self.events.ask(key, question, model, strategy, plan, int(length)):
                if isinstance(event, Progress):
                    partial = event.text or partial
                    said = [*before, turn, reply(plain(partial) or "…")]
                    yield self._busy({self.chat: said, self.question: "", self.status: progress(event)})
                    continue
                results = await asyncio.to_thread(self._answered, shown, model, event)
                if session.shown is not shown:
                    raise Stopped("stopped")
                answer = event.value.answer
                session.turns = [*before, turn, reply(plain(answer.unknown or answer.text) or "(no text)")]
                yield self._ready({self.chat: session.turns, self.question: "", **results})
        except Stopped:
            if session.shown is not shown:
                yield self._ready({})  # the page already shows another panorama
                return
            session.turns = [*before, turn, reply(f"{plain(partial)} (stopped)".strip())]
            yield self._ready({self.chat: session.turns, self.status: fragments.message("Stopped.")})
        except KNOWN as error:
            changes = {self.status: fragments.message(fragments.sentence(error), "error")}
            if session.control is None:  # else another question runs, and the page belongs to it
                changes = self._ready({self.chat: session.turns, self.question: question, **changes})
            yield changes

    def _answered(self, shown: Shown | None, model: str, done: Done) -> dict[Any, Any]:
        """What the page shows of an answer next to its text."""
        asked: Asked = done.value
        answer = asked.answer
        said = "No answer after" if answer.unknown else "Answered in"
        return {
            self.status: fragments.message(f"{said} {done.seconds:.1f} s."),
            self.state: fragments.state(shown, asked.spots, answer.plan),
            self.spots: fragments.spot_buttons(asked.spots),
            self.facts: fragments.facts(answer, model, done.seconds, asked.note),
            self.views: fragments.views_grid(answer),
            self.map: "" if shown is None else fragments.map_image(shown, answer.plan),
            self.evidence: _EMPTY_EVIDENCE,
        }

    async def on_find(self, what: str, model: str, request: gr.Request) -> AsyncIterator[dict[Any, Any]]:
        """Something is to be found."""
        session = self.events.sessions.of(request.session_hash)
        shown = session.shown
        try:
            async for event in self.events.find(request.session_hash, what, model):
                if isinstance(event, Progress):
                    yield self._busy({self.status: progress(event)})
                    continue
                spots = event.value
                count = f"{len(spots)} place{'' if len(spots) == 1 else 's'}"
                said = f"Found {count} in {event.seconds:.1f} s." if spots else f"{what.strip()[:80]} was not found."
                plan = None if session.answer is None else session.answer.plan
                yield self._ready({
                    self.status: fragments.message(said),
                    self.state: fragments.state(shown, spots, plan),
                    self.spots: fragments.spot_buttons(spots),
                })  # fmt: skip
        except Stopped:
            yield self._ready({self.status: fragments.message("Stopped.")})
        except KNOWN as error:
            yield self._failed(request, error)

    async def on_explain(self, model: str, method: str, request: gr.Request) -> AsyncIterator[dict[Any, Any]]:
        """The evidence for the last answer is to be shown."""
        try:
            async for event in self.events.explain(request.session_hash, model, method):
                if isinstance(event, Progress):
                    yield self._busy({self.status: progress(event)})
                    continue
                said = fragments.message(f"Evidence computed in {event.seconds:.1f} s.")
                yield self._ready({self.status: said, self.evidence: evidence_figure(event.value)})
        except Stopped:
            yield self._ready({self.status: fragments.message("Stopped.")})
        except KNOWN as error:
            yield self._failed(request, error)

    def _failed(self, request: gr.Request, error: Exception) -> dict[Any, Any]:
        """An error as a sentence. The buttons stay as they are if another question of the session runs."""
        changes: dict[Any, Any] = {self.status: fragments.message(fragments.sentence(error), "error")}
        running = self.events.sessions.of(request.session_hash).control is not None
        return changes if running else self._ready(changes)

    def on_stop(self, request: gr.Request) -> None:
        """The running question is to stop; its own event then changes the page."""
        self.events.stop(request.session_hash)

    def _busy(self, changes: dict[Any, Any]) -> dict[Any, Any]:
        off = gr.Button(interactive=False)
        return {self.ask: off, self.explain: off, self.find: off, self.stop: gr.Button(interactive=True), **changes}

    def _ready(self, changes: dict[Any, Any]) -> dict[Any, Any]:
        on = gr.Button(interactive=True)
        return {self.ask: on, self.explain: on, self.find: on, self.stop: gr.Button(interactive=False), **changes}


def progress(event: Progress) -> str:
    """What happens to a question, as a sentence."""
    if event.before:
        count = "1 question is" if event.before == 1 else f"{event.before} questions are"
        return fragments.message(f"Waiting: {count} answered first.", "busy")
    return fragments.message(f"{event.step or 'Reading the panorama'} … {event.seconds:.0f} s", "busy")


def reply(text: str) -> dict[str, Any]:
    """A turn of the model in the chat."""
    return {"role": "assistant", "content": text}


def plain(text: str) -> str:
    """An answer for the chat: Markdown, but without images, which could lie on another server."""
    return text.replace("![", "!\\[").strip()


def _strategies(names: list[str]) -> list[tuple[str, str]]:
    return [(STRATEGY_NAMES.get(name, name), name) for name in names]


def _suggested(session: Session, samples: Mapping[str, Sample]) -> str:
    """Questions that suit a sample, as buttons that write them into the field."""
    sample = None if session.shown is None else samples.get(session.shown.name)
    if sample is None or not sample.questions:
        return ""
    texts = [html.escape(text, quote=True) for text in sample.questions]
    buttons = "".join(f'<button type="button" class="chip" data-question="{text}">{text}</button>' for text in texts)
    return f'<div class="chips" role="group" aria-label="Questions to try">{buttons}</div>'


def _header(names: list[str]) -> str:
    note = ""
    if "embedded" in names:
        note = (
            '<p class="quiet">The model <em>embedded</em> was trained on rendered scenes only. For photographs, start '
            "the page with another <code>--model</code>.</p>"
        )
    return (
        '<h1>Look around and ask</h1><p class="lead">Look around in a 360° panorama, ask about it, and see which '
        f"views the answer comes from.</p>{note}"
    )


_VIEWER = (
    '<div id="panorama-viewer" class="is-empty"><p class="quiet">Choose a panorama to look around in it.</p></div>'
    '<div class="under-viewer"><span id="heading" aria-hidden="true"></span>'
    '<label class="outlines-switch"><input type="checkbox" id="show-outlines" checked> Outlines of the views'
    "</label></div>"
)
