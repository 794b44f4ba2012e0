"""The benchmark's other processes run while they are wanted, and end afterwards."""

import os
import time

import pytest

from tools.bench import harness


def children():
    """Process ids and used CPU ticks of this process's children."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                continue
            if int(fields[1]) == os.getpid():
                found[int(name)] = int(fields[11])
    return found


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="reads /proc")
def test_busy_uses_cores_and_ends():
    before = set(children())
    with harness.busy(2):
        others = set(children()) - before
        first = children()
        time.sleep(0.5)
        second = children()
    assert len(others) == 2
    assert all(second[pid] > first[pid] for pid in others)
    assert not others & set(children())


def test_busy_reports_a_process_that_ended(monkeypatch):
    monkeypatch.setattr(harness, "SPIN", "raise SystemExit(1)")
    with pytest.raises(RuntimeError, match="has ended"), harness.busy(1):
        pass


def test_quiet_and_busy_have_the_same_candidates():
    quiet, busy = harness.compare_quiet_and_busy({"a": lambda: None, "b": lambda: None}, processes=1, rounds=3)
    assert set(quiet) == set(busy) == {"a", "b"}


def test_the_others_end_when_the_block_raises():
    before = set(children())
    with pytest.raises(KeyError), harness.busy(1):
        raise KeyError
    assert set(children()) == before
