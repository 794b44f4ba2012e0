"""Chunks cover everything once; threads keep the order, the errors and PyTorch's number of threads."""

import threading

import pytest
import torch
from panollava_losses._parallel import chunk_size, chunks, map_chunks, parts_of, rows_of, spans

CPU = torch.device("cpu")
FEATURES = torch.empty(1)


@pytest.fixture(autouse=True)
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("rows", "per_row", "budget"), [(7, 10, 25), (7, 10, 5), (7, 10, 1000), (1, 1, 1), (6, 10, 20)]
)
def test_chunks_cover_all_rows_once(rows, per_row, budget):
    parts = chunks(rows, per_row, CPU, budget)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(rows))
    assert all((part.stop - part.start) * per_row <= max(budget, per_row) for part in parts)
    assert chunk_size(rows, per_row, CPU, budget) == parts[0].stop


def test_other_devices_have_their_own_limit():
    assert chunk_size(100, 2**20, torch.device("meta"), 1) == 100


def test_parts_of_a_span_stay_in_it():
    assert parts_of(slice(3, 8), 10, CPU, 25) == [slice(3, 5), slice(5, 7), slice(7, 8)]


@pytest.mark.parametrize(("rows", "most", "count"), [(10, 9, 4), (10, 3, 3), (2, 9, 2), (10, 0, 1)])
def test_spans_are_no_more_than_threads(rows, most, count):
    parts = spans(rows, most, FEATURES)
    assert len(parts) == count
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(rows))
    assert spans(rows, most, FEATURES.to("meta")) == [slice(0, rows)]


def test_results_are_in_order_and_made_by_several_threads():
    barrier = threading.Barrier(4, timeout=10)
    names = set()

    def work(part):
        if part.start < 4:
            barrier.wait()  # the first four parts run at the same time
        names.add(threading.get_ident())
        return part.start

    assert map_chunks(work, [slice(i, i + 1) for i in range(40)], FEATURES) == list(range(40))
    assert len(names) == 4
    assert threading.get_ident() in names


def test_each_thread_runs_its_operations_alone_and_the_limit_comes_back():
    seen = map_chunks(lambda part: torch.get_num_threads(), [slice(i, i + 1) for i in range(8)], FEATURES)
    assert seen == [1] * 8
    assert torch.get_num_threads() == 4
    other = []
    thread = threading.Thread(target=lambda: other.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert other == [4]


def test_errors_reach_the_caller_and_the_limit_comes_back():
    def work(part):
        raise RuntimeError(f"part {part.start}")

    with pytest.raises(RuntimeError, match="part"):
        map_chunks(work, [slice(i, i + 1) for i in range(8)], FEATURES)
    assert torch.get_num_threads() == 4


def test_an_error_in_another_thread_reaches_the_caller():
    caller, started = threading.get_ident(), threading.Event()

    def work(part):
        if threading.get_ident() == caller:
            assert started.wait(10)
            return
        started.set()
        raise RuntimeError("in a helper")

    with pytest.raises(RuntimeError, match="in a helper"):
        map_chunks(work, [slice(0, 1), slice(1, 2)], FEATURES)


def test_gradients_are_off_and_inference_mode_is_inherited():
    parts = [slice(i, i + 1) for i in range(8)]
    assert not any(map_chunks(lambda part: torch.is_grad_enabled(), parts, FEATURES))
    with torch.inference_mode():
        assert all(map_chunks(lambda part: torch.is_inference_mode_enabled(), parts, FEATURES))


def test_one_part_and_fake_tensors_stay_in_the_calling_thread():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.empty(2)
    caller = threading.get_ident()
    assert map_chunks(lambda part: threading.get_ident(), [slice(0, 1)], FEATURES) == [caller]
    assert map_chunks(lambda part: threading.get_ident(), [slice(0, 1), slice(1, 2)], fake) == [caller] * 2


def test_rows_of_nothing_is_nothing():
    assert rows_of(None, slice(0, 1)) is None
    assert rows_of(torch.arange(3), slice(1, 3)).tolist() == [1, 2]
