import pytest
from panollava_hf.jobs._ray_share import share_out


@pytest.mark.parametrize("cpus", [0.5, 1, 2, 3, 4, 8, 64])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 8, 64, 500])
def test_workers_never_reserve_all_cpus(cpus, workers):
    share = share_out([{"CPU": cpus}], workers)
    assert 0 < share.workers * share.cpus < cpus
    assert share.workers == workers or share.cpus == 1 / 16
    assert 1 <= share.threads <= max(1, cpus)


def test_a_whole_cpu_where_there_are_enough():
    assert share_out([{"CPU": 8}], 7).cpus == 1
    assert share_out([{"CPU": 8}], 8).cpus == 0.5


def test_every_worker_finds_a_place_on_one_machine():
    share = share_out([{"CPU": 3}] * 3, 7)  # 0.875 of a CPU each would be enough in sum, but not on any machine
    assert share.workers == 7
    assert sum(3 // share.cpus for _ in range(3)) >= 7


def test_one_gpu_each():
    machines = [{"CPU": 16, "GPU": 2}, {"CPU": 16, "GPU": 2}, {"CPU": 64}]
    share = share_out(machines, None)
    assert (share.workers, share.gpus, share.cpus) == (4, 1, 1)
    fewer = share_out(machines, 6)
    assert fewer.workers == 4
    assert "too few for 6 workers" in fewer.note
    assert share_out(machines, 6, gpus_per_worker=0.5).workers == 6
    assert share_out(machines, 6, gpus_per_worker=0).gpus == 0
    assert share_out(machines, 20, gpus_per_worker=0).workers == 20


def test_without_a_number():
    assert share_out([{"CPU": 2}]).workers == 1
    assert share_out([{"CPU": 16}]).workers == 4
    assert share_out([{"CPU": 16}]).threads == 4


def test_a_cluster_that_has_yet_to_grow():
    share = share_out([{}], 3)
    assert share.workers == 3
    assert "waits until it has grown" in share.note
    assert share_out([{"CPU": 4}], 2, gpus_per_worker=1).workers == 2


def test_the_note_says_what_was_done():
    assert share_out([{"CPU": 2}], 2).note == "2 workers with 0.5 CPU each; the Ray cluster has 2 CPUs"
