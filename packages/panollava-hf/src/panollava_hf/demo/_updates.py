"""The values that an event returns, as updates of properties."""

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

__all__ = ["updates"]


def updates(event: Callable[..., Any]) -> Callable[..., Any]:
    """An event of the page whose values are updates.

    Gradio 6 keeps each plain value of a component that an earlier event skipped, until the session ends: every answer
    with its images. An update replaces the one before.

    Args:
        event: A function that returns a tuple, or an asynchronous generator of dicts by component.
    """
    if inspect.isasyncgenfunction(event):

        @functools.wraps(event)
        async def streamed(*args: Any, **kwargs: Any) -> AsyncIterator[dict[Any, Any]]:
            async with contextlib.aclosing(event(*args, **kwargs)) as found:
                async for changes in found:
                    yield {component: _update(value) for component, value in changes.items()}

        return streamed

    @functools.wraps(event)
    def once(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        return tuple(map(_update, event(*args, **kwargs)))

    return once


def _update(value: Any) -> Any:
    import gradio as gr

    known = isinstance(value, gr.blocks.Block) or (isinstance(value, dict) and value.get("__type__") == "update")
    return value if known else gr.update(value=value)
