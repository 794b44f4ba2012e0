"""What other libraries report and does not concern the user is not shown; nothing else is held back.

What this package checks itself after a load (`require_whole`), or says in its own words, must not be said twice, and
not in a way that frightens.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

#: Parts of messages that transformers logs while models are joined, loaded and trained.
_LOGGED = (
    "The new embeddings will be initialized from a multivariate normal",  # the row of the placeholder
    "The new lm_head weights will be initialized from a multivariate normal",
    "without providing a `pad_to_multiple_of` parameter",
    "LOAD REPORT",  # which weights are missing or left over is checked after every load
    "were not initialized from the model checkpoint",
    "were not used when initializing",
    "is incompatible with gradient checkpointing",  # it names the cache of generation, which training does not use
    "is incompatible with activation checkpointing",
    "There were missing keys in the checkpoint model loaded: ['lm_head.weight'].",  # it shares the input embedding
    "Token indices sequence length is longer than",  # rows that are too long are reported before the first step
)
#: Beginnings of warnings about how one library calls another.
_WARNED = (
    ("`is_gradient_checkpointing` is deprecated", FutureWarning),
    ("Could not find a config file in", UserWarning),
    ("Grad strides do not match bucket view strides", UserWarning),  # about speed, in several processes
)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing anything; what is wrong becomes one error of the caller."""
    _SILENCE.enter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _SILENCE.leave()


class _Silence:
    """The logger of transformers, silent while any thread wants it: the last one puts its level back."""

    def __init__(self) -> None:
        self._lock, self._wanted, self._level = threading.Lock(), 0, 0

    def enter(self) -> None:
        logger = logging.getLogger("transformers")
        with self._lock:
            if not self._wanted:
                self._level = logger.level
                logger.setLevel(logging.CRITICAL)
            self._wanted += 1

    def leave(self) -> None:
        with self._lock:
            self._wanted -= 1
            if not self._wanted:
                logging.getLogger("transformers").setLevel(self._level)


_SILENCE = _Silence()


@contextmanager
def without_noise() -> Iterator[None]:
    """Hide transformers' progress bars and those of its messages that do not concern the user.

    Example:
        >>> with without_noise():
        ...     warnings.warn("`is_gradient_checkpointing` is deprecated and will be removed", FutureWarning)
    """
    from transformers.utils import logging as reports

    had_bars = reports.is_progress_bar_enabled()
    reports.disable_progress_bar()
    handlers = logging.getLogger("transformers").handlers  # messages of its modules reach these, not its own filters
    for handler in handlers:
        handler.addFilter(_concerns_the_user)
    try:
        with warnings.catch_warnings():
            for beginning, category in _WARNED:
                warnings.filterwarnings("ignore", message=beginning, category=category)
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(_concerns_the_user)
        if had_bars:
            reports.enable_progress_bar()


def _concerns_the_user(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(part in message for part in _LOGGED)
