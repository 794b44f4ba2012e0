"""Calls have a deadline, and a busy machine does not make one that computes fail."""

import threading
import time

import pytest
from panollava_hf.outside._deadline import within


def test_a_call_that_waits_or_computes_for_ever_ends():
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            pass

    try:
        for call, computing in ((stop.wait, False), (compute, False), (compute, True), (stop.wait, True)):
            with pytest.raises(TimeoutError, match=r"no result within 0\.1 seconds"):
                within(0.1, call, computing=computing)
    finally:
        stop.set()


def test_time_in_which_a_call_does_not_compute_is_not_counted():
    def wait():
        time.sleep(0.3)
        return 4

    assert within(0.1, wait, computing=True) == 4
    with pytest.raises(TimeoutError):
        within(0.1, wait)


@pytest.mark.parametrize("computing", [False, True])
def test_errors_and_results_are_passed_on(computing):
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0, computing=computing)
    assert [within(5, lambda: None, computing=computing) for _ in range(200)] == [None] * 200
