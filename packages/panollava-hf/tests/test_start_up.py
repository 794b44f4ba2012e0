"""Start of a command: what the collector and transformers skip, and that nothing is skipped in other processes."""

import gc
import subprocess
import sys
from contextlib import suppress

import pytest
from panollava_hf._start_up import EXTRAS, leave_out_extras, paused_collection

#: Runs the console script as it is installed, and prints what it imported.
PROGRAM = """
import atexit, gc, sys
sys.argv = ["panollava", "ask", {panorama!r}, "How many objects are there?", "--model", {model!r}]
extras = ("accelerate", "scipy", "sklearn", "torchvision")
atexit.register(lambda: print([name for name in extras if sys.modules.get(name)], gc.get_freeze_count() > 100_000))
from panollava_hf.__main__ import main
main()
"""


def ask(panorama, model):
    program = PROGRAM.format(panorama=str(panorama), model=str(model))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    answer, imported = done.stdout.splitlines()
    return answer, imported


def test_the_embedded_checkpoint_answers_without_the_extras_as_with_them(scene_file, checkpoint):
    quick, imported = ask(scene_file, "embedded")
    assert imported == "[] True"
    usual, imported = ask(scene_file, checkpoint)  # the same files, named as a folder
    assert imported != "[] True"
    assert quick == usual


def test_in_other_processes_nothing_is_left_out(monkeypatch):
    for name in ("transformers", *EXTRAS):
        monkeypatch.delitem(sys.modules, name, raising=False)
    leave_out_extras()
    assert not set(EXTRAS) & set(sys.modules)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_before_after_a_pause(enabled):
    frozen = gc.get_freeze_count()
    (gc.enable if enabled else gc.disable)()
    try:
        with suppress(KeyError), paused_collection():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
    assert gc.get_freeze_count() == frozen
