"""The attack: its worker processes find what they must, and its inputs end in a result or in one of our errors."""

import os
import random
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tools.attack import __main__ as command
from tools.attack import _mutations as mutations
from tools.attack._all import find_run, load_kinds
from tools.attack._kinds import Attempt, Refused
from tools.attack._pool import Pool


def _crash(folder, attempt):
    os.abort()


def _hang(folder, attempt):
    while True:
        time.sleep(0.1)


def _fill(folder, attempt):
    held = bytearray(300 * 2**20)
    held[::4096] = b"x" * len(held[::4096])


def _run_code(folder, attempt):
    os.system('touch "$PANOLLAVA_CANARY"')


def _ask(folder, attempt):
    assert input() == "y"


def _raise(folder, attempt):
    raise attempt.values["error"]


RUNS = {"crash": _crash, "hang": _hang, "fill": _fill, "code": _run_code, "ask": _ask, "raise": _raise}
SECRET = "pw-1"


@pytest.fixture(scope="module")
def guards():
    with Pool(RUNS.__getitem__, seconds=20.0, megabytes=200.0) as pool:
        yield pool


@pytest.mark.parametrize(
    ("name", "attempt", "status"),
    [
        ("ask", Attempt(), "result"),
        ("ask", Attempt(must_fail=True), "accepted"),
        ("raise", Attempt(values={"error": Refused("one line")}), "our error"),
        ("raise", Attempt(values={"error": Refused("one line")}, must_pass=True), "refused"),
        ("raise", Attempt(values={"error": Refused("two\nlines")}), "noise"),
        ("raise", Attempt(values={"error": Refused(f"http://u:{SECRET}@h")}, secret=SECRET), "secret"),
        ("raise", Attempt(values={"error": KeyError("x")}), "traceback"),
        ("raise", Attempt(values={"error": SystemExit(3)}), "traceback"),
        ("fill", Attempt(), "memory"),
        ("code", Attempt(), "code"),
        ("crash", Attempt(), "crash"),
        ("ask", Attempt(note="after a crash"), "result"),
    ],
)
def test_what_an_input_does_is_found(guards, name, attempt, status):
    assert guards.run(name, attempt).status == status


def test_a_hang_ends():
    with Pool(RUNS.__getitem__, seconds=0.5) as pool:
        assert pool.run("hang", Attempt()).status == "time"
        assert pool.run("hang", Attempt()).status == "time"


def test_inputs_are_shared_out_and_always_the_same():
    kinds = list(load_kinds().values())
    shares = command.shares(kinds, 1000)
    assert sum(shares.values()) == 1000
    assert min(shares.values()) >= 1
    plans = load_kinds()["plan.json"]
    assert command.attempt_of(plans, 0, 3) == command.attempt_of(plans, 0, 3)
    assert len({command.attempt_of(plans, 0, n).files["plan.json"] for n in range(20)}) > 15


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.binary(max_size=40), st.text(max_size=40))
def test_mutations_take_anything(rng, data, text):
    assert isinstance(mutations.mutate_bytes(rng, data), bytes)
    assert isinstance(mutations.encode(rng, mutations.mutate_text(rng, text)), bytes)
    assert isinstance(mutations.json_bytes(rng, mutations.mutate_tree(rng, {"a": [1, {"b": text}]})), bytes)


def test_mutations_change_something():
    rng = random.Random(0)
    data = bytes(range(200))
    assert sum(mutations.mutate_bytes(rng, data) != data for _ in range(50)) > 40


@pytest.fixture(scope="module")
def library():
    with Pool(find_run, preload=(command.WARM,)) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("name", load_kinds())
def test_every_input_ends_in_a_result_or_our_error(library, name):
    """Hypothesis drives the same mutations as the command, and makes a failing input small."""

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False), st.integers(0, 200))
    def check(rng, number):
        attempt = load_kinds()[name].make(rng, number)
        outcome = library.run(name, attempt)
        assert outcome.good, f"{outcome.status}: {outcome.text}"

    check()
