"""An image processor that was used works in forked processes, too, as `datasets.map(num_proc=2)` makes them."""

import os
import subprocess
import sys

import pytest

USED_THEN_FORKED = """
import os, signal
import numpy, torch
from panollava_hf import PanoLLaVaImageProcessor

torch.set_num_threads(4)
image = numpy.random.default_rng(0).integers(0, 255, (512, 1024, 3), dtype=numpy.uint8)
processor = PanoLLaVaImageProcessor(size=224)
wanted = processor(image)["pixel_values"]
child = os.fork()
if child == 0:
    signal.alarm(60)  # a child that waits for threads of its parent ends here, with a signal
    same = torch.equal(processor(image)["pixel_values"], wanted)
    os._exit(0 if same else 1)
status = os.waitpid(child, 0)[1]
raise SystemExit(0 if status == 0 else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_an_image_processor_works_in_a_forked_process():
    command = [sys.executable, "-W", "ignore", "-c", USED_THEN_FORKED]
    assert subprocess.run(command, timeout=300).returncode == 0


FORKED_WITH_ONE_THREAD = """
import os, threading
import torch
from panollava_hf._child_processes import allow_forks

torch.set_num_threads(1)
allow_forks()
child = os.fork()
if child == 0:
    calls, ready = [], threading.Barrier(8)
    set_number = torch.set_num_threads
    torch.set_num_threads = lambda number: (calls.append(number), set_number(number))

    def used():
        ready.wait()
        allow_forks()

    threads = [threading.Thread(target=used) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    os._exit(0 if calls == [1] else 1)
raise SystemExit(0 if os.waitpid(child, 0)[1] == 0 else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_one_thread_of_a_forked_process_renews_torchs_pool_of_threads():
    command = [sys.executable, "-W", "ignore", "-c", FORKED_WITH_ONE_THREAD]
    assert subprocess.run(command, timeout=300).returncode == 0
