"""Messages of transformers that do not concern the user are hidden, all others are shown."""

import io
import logging
import threading
import warnings

import pytest
from panollava_hf._quiet import quiet, without_noise
from transformers.utils import logging as reports


@pytest.fixture
def shown():
    """What a handler of transformers' logger writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)  # other tests of the process may have changed it
    yield stream
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_only_what_does_not_concern_the_user_is_hidden(shown):
    logger = reports.get_logger("transformers.modeling_utils")
    with without_noise():
        logger.warning("The new embeddings will be initialized from a multivariate normal distribution that has …")
        logger.warning("%s LOAD REPORT from: %s", "Model", "folder")
        logger.warning("the disk is nearly full")
    logger.warning("The new embeddings will be initialized from a multivariate normal distribution, again")
    assert shown.getvalue().splitlines() == [
        "the disk is nearly full",
        "The new embeddings will be initialized from a multivariate normal distribution, again",
    ]


def test_other_warnings_pass():
    with without_noise():
        warnings.warn("`is_gradient_checkpointing` is deprecated and will be removed", FutureWarning, stacklevel=1)
        with pytest.warns(UserWarning, match="num_views=5 tiles"):
            warnings.warn("num_views=5 tiles of 90° overlap", UserWarning, stacklevel=1)


@pytest.mark.parametrize("before", [True, False])
def test_progress_bars_are_as_before(before):
    was = reports.is_progress_bar_enabled()
    try:
        (reports.enable_progress_bar if before else reports.disable_progress_bar)()
        with without_noise():
            assert not reports.is_progress_bar_enabled()
        assert reports.is_progress_bar_enabled() is before
    finally:
        (reports.enable_progress_bar if was else reports.disable_progress_bar)()


def test_two_threads_leave_the_level_as_it_was():
    logger = logging.getLogger("transformers")
    before = logger.level
    entered, left = threading.Event(), threading.Event()

    def other():
        with quiet():
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=other)
    with quiet():
        thread.start()
        assert entered.wait(10)
    assert logger.level == logging.CRITICAL, "the other thread still wants it silent"
    left.set()
    thread.join()
    assert logger.level == before
