"""The page as an application: Gradio, the images of the sessions, and headers that keep all requests here."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # Gradio reads it when it is imported

import gradio as gr
from fastapi import FastAPI, Response

from panollava_hf.demo._events import Events
from panollava_hf.demo._headers import PageHeaders
from panollava_hf.demo._models import Models
from panollava_hf.demo._page import build_page
from panollava_hf.demo._settings import DemoSettings

#: Fonts of the device, so that none is loaded.
_FONTS = ("system-ui", "sans-serif")


def build_app(models: Models, settings: DemoSettings | None = None) -> FastAPI:
    """The page of some models as a FastAPI application.

    Args:
        models: The models.
        settings: The limits.

    Returns:
        The application. `app.state.worker.stop()` stops all questions; at its end, all sessions are dropped.
    """
    return _in_a_loop(lambda: _build(models, settings or DemoSettings()))


def _in_a_loop(build: Callable[[], FastAPI]) -> FastAPI:
    """Call a function inside an event loop: without one, Gradio makes loops that it never closes."""

    async def inside() -> FastAPI:
        return build()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(inside())
    return build()


def _build(models: Models, settings: DemoSettings) -> FastAPI:
    events = Events(models, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            events.sessions.end_all()
            models.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.worker, app.state.sessions = models, events.sessions

    app.add_middleware(PageHeaders)

    @app.get("/panollava/panorama/{name}")
    async def panorama(name: str) -> Response:
        data = events.sessions.jpeg(name.removesuffix(".jpg"))
        if data is None:
            return Response("This panorama is no longer open.", 404, media_type="text/plain")
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    mounted: FastAPI = gr.mount_gradio_app(
        app,
        build_page(events),
        path="/",
        footer_links=[],
        run_history=False,  # the browser would keep questions
        show_error=False,
        max_file_size=f"{settings.max_upload_mb}mb",
        ssr_mode=False,
        enable_monitoring=False,
        theme=gr.themes.Default(
            primary_hue="blue", neutral_hue="slate", font=_FONTS, font_mono=("ui-monospace", "monospace")
        ),
        css=_static("pannellum.css") + _static("page.css"),
        head=_head(),
    )
    return mounted


def _head() -> str:
    """The scripts of the viewer, inside the page: nothing is loaded for them."""
    sources = [_static(name).replace("</", "<\\/") for name in ("pannellum.js", "viewer.js")]
    scripts = "".join(f"<script>{source}</script>" for source in sources)
    return f'<meta name="description" content="Look around in a panorama and ask about it.">{scripts}'


def _static(name: str) -> str:
    return (files("panollava_hf.demo") / "static" / name).read_text("utf-8")
