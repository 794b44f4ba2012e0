"""The application: key, size of bodies, routes."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from panollava_hf.asking.models._panollava import PanoLLaVaChat
from panollava_hf.serving._generation import Ended, generate
from panollava_hf.serving._replies import Replies, error_body, event, refusal
from panollava_hf.serving._request import ChatRequest, read_request
from panollava_hf.serving._settings import RequestError, ServerSettings
from panollava_hf.serving._worker import Task, Worker

#: How many times the largest body is read and thrown away before a connection is closed.
_THROWN_AWAY = 4


def build_app(chat: PanoLLaVaChat, name: str, settings: ServerSettings) -> FastAPI:
    """The application. Its worker is `app.state.worker`.

    Args:
        chat: The checkpoint.
        name: Name of the model for clients.
        settings: What the server accepts.
    """
    worker = Worker(settings.max_waiting)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(worker.close)

    app = FastAPI(title="PanoLLaVA", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.worker = worker

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
        return JSONResponse(
            error_body(error), error.status, headers | ({"Retry-After": "5"} if error.status == 503 else {})
        )

    @app.exception_handler(HTTPException)
    async def no_such_path(request: Request, error: HTTPException) -> Response:
        message = "no such path or method; this server has POST /v1/chat/completions, GET /v1/models and GET /health"
        return JSONResponse(error_body(RequestError(message, error.status_code)), error.status_code)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "waiting": worker.waiting}

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        check_key(request, settings.api_key)
        return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "panollava"}]}

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        body = await _body(request, settings.max_body_bytes, _refusal(request, settings, worker))
        asked = await asyncio.to_thread(_parsed, body, name, settings)
        del body
        task = worker.submit(partial(generate, chat, asked))
        watch = asyncio.create_task(_cancel_when_gone(request, task))
        try:
            await task.next()  # the request has been read, or it is refused
            if asked.stream:
                parts = _parts(task, worker, watch, Replies(name), asked.with_usage)
                return StreamingResponse(parts, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
            text, ended = await _whole(task)
        except BaseException:
            _finish(task, worker, watch)
            raise
        _finish(task, worker, watch)
        return JSONResponse(Replies(name).whole(text, ended))

    return app


def check_key(request: Request, key: str | None) -> None:
    """Check the key of a request, in a time that does not depend on where it differs.

    Raises:
        RequestError: It is missing or wrong. The message shows neither key.
    """
    if key is None:
        return
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), key.encode())
    if kind.lower() != "bearer" or not same:
        raise RequestError(
            "the key is missing or wrong; send it as Authorization: Bearer KEY", 401, "authentication_error"
        )


def _refusal(request: Request, settings: ServerSettings, worker: Worker) -> RequestError | None:
    """Why a request is refused before its body is known."""
    try:
        check_key(request, settings.api_key)
        worker.check_free()
    except RequestError as error:
        return error
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # a web page cannot send this type to another server without asking
        return RequestError("the Content-Type of the request must be application/json", 415)
    return None


async def _body(request: Request, most: int, refusal: RequestError | None) -> bytes:
    """The body of a request. One that is refused is read and thrown away, since clients send it before they listen.

    Raises:
        RequestError: The request is refused, or the body is too large.
    """
    found, size, more = bytearray(), 0, True
    while more and size <= _THROWN_AWAY * most:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RequestError("the client closed the connection", 499)
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size > most and refusal is None:
            text = f"the body of the request is larger than {most / 2**20:.0f} MB; send smaller images"
            refusal = RequestError(text, 413)
        if refusal is None:
            found += piece
        else:
            found.clear()
    if refusal is not None:
        raise refusal
    return bytes(found)


def _parsed(body: bytes, name: str, settings: ServerSettings) -> ChatRequest:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError("the body of the request is not valid JSON") from error
    return read_request(content, name, settings)


async def _whole(task: Task) -> tuple[str, Ended]:
    texts: list[str] = []
    async for found in task.events():
        if isinstance(found, Ended):
            return "".join(texts), found
        texts.append(found)
    raise RequestError("the answer has no end", 500, "server_error")


async def _parts(
    task: Task, worker: Worker, watch: "asyncio.Task[None]", replies: Replies, with_usage: bool
) -> AsyncIterator[str]:
    """The events of a streamed answer. If the client goes away, the generation stops."""
    try:
        yield replies.piece({"role": "assistant", "content": ""})
        async for found in task.events():
            if isinstance(found, Ended):
                yield replies.piece(refusal(found) if found.unknown else {}, found.reason)
                if with_usage:
                    yield replies.usage(found)
                yield event("[DONE]")
            elif found:
                yield replies.piece({"content": found})
    except RequestError as error:
        yield event(error_body(error))
    finally:
        _finish(task, worker, watch)


def _finish(task: Task, worker: Worker, watch: "asyncio.Task[None]") -> None:
    watch.cancel()
    worker.done(task)


async def _cancel_when_gone(request: Request, task: Task) -> None:
    """Stop a request whose client closes the connection."""
    with suppress(asyncio.CancelledError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
        task.cancel()
        task.give(RequestError("the client closed the connection", 499))
