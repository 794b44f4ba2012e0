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
raise SystemExit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_an_image_processor_works_in_a_forked_process():
    subprocess.run([sys.executable, "-W", "ignore", "-c", USED_THEN_FORKED], check=True, timeout=300)
