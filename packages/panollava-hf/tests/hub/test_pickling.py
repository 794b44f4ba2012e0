"""Parts of an export in pickles, datasets and worker processes, without our packages."""

import json
import os
import pickle
import sys
import types
from pathlib import Path

import pytest
from panollava_hf._pickling import blank

PROBE = Path(__file__).parent / "pickling_probe.py"
KINDS = ["PanoLLaVaConfig", "PanoLLaVaImageProcessor", "PanoLLaVaProcessor"]


@pytest.fixture
def task(clean_run, embedded_export):
    """Run a task of `pickling_probe.py`, and return what it printed."""

    def run(*arguments, folder=embedded_export, **client):
        name, *rest = arguments
        return json.loads(clean_run(PROBE, name, folder, *rest, **client).stdout.splitlines()[-1])

    return run


def test_pickles_hold_the_name_of_the_class(task):
    for module in ("cloudpickle", "dill"):
        pytest.importorskip(module)
    sizes = task("sizes")
    assert list(sizes) == KINDS
    for found in sizes.values():  # by value, only the function `blank` is added
        assert found["dill"] == found["dill, recursive"] == found["dill, by value"]
        assert 0 < found["cloudpickle, by value"] - found["cloudpickle"] < 6000


def test_hashes_and_maps_are_the_same_in_every_process_and_after_calls(task, monkeypatch, tmp_path):
    pytest.importorskip("datasets", exc_type=ImportError)
    found = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        found.append(task("datasets_cache", home=tmp_path / "home"))
    assert found[0] == found[1]
    assert len(set(found[0]["hashes"])) == 3
    assert found[0]["differences"] == [0.0, 0.0]


def test_a_pickle_is_read_where_the_code_is_in_the_cache_and_nowhere_else(task, tmp_path):
    pytest.importorskip("cloudpickle")
    file = tmp_path / "parts.pickle"
    written = task("write", file, home=tmp_path / "home")
    # New processes, as workers of Ray, do not have the cache on their path.
    assert task("read", file, home=tmp_path / "home") == [written, written]
    # The folder of the export exists, but reading a pickle does not run its code.
    (missing, loaded), (message, also_loaded) = task("read", file, home=tmp_path / "other")
    assert missing.startswith("No module named 'transformers_modules")
    assert "load the exported folder or repository once on this machine with trust_remote_code=True" in message
    assert "\n" not in message
    assert not loaded
    assert not also_loaded
    assert not list((tmp_path / "other").rglob("*panollava*"))


@pytest.mark.slow
def test_spawned_processes_and_data_loaders(task):
    report = task("workers")
    assert report["spawned"] == [0.0, report["width"]]
    pytest.importorskip("datasets", exc_type=ImportError)
    assert report["loader"] == [0.0, 0.0]


def test_only_classes_of_exported_code_are_made(monkeypatch):
    for module in ("os", "panollava_hf", "transformers_modules", "transformers_modulesx.a"):
        with pytest.raises(pickle.UnpicklingError, match="is not a class of exported code"):
            blank(module, "PanoLLaVaConfig")
    with pytest.raises(pickle.UnpicklingError, match="load the exported folder or repository once on this machine"):
        blank("transformers_modules.no_such_export_of_ours.code", "PanoLLaVaConfig")
    code = types.ModuleType("transformers_modules.toy")
    code.tool = os.system
    monkeypatch.setitem(sys.modules, "transformers_modules", types.ModuleType("transformers_modules"))
    monkeypatch.setitem(sys.modules, "transformers_modules.toy", code)
    for name in ("tool", "missing"):
        with pytest.raises(pickle.UnpicklingError, match=r"toy\.\w+ is not a class"):
            blank("transformers_modules.toy", name)


def test_the_function_in_pickles_refers_to_nothing_else():
    """A pickler that takes functions by value takes along what they refer to."""
    assert not [name for name in blank.__code__.co_names if name in blank.__globals__]


def test_installed_classes_are_pickled_as_usual():
    from panollava_hf import PanoLLaVaImageProcessor

    class Own(PanoLLaVaImageProcessor):
        """As in a script, whose classes cloudpickle takes along."""

    processor = PanoLLaVaImageProcessor(size=32)
    assert processor.__reduce_ex__(4)[1] == (PanoLLaVaImageProcessor,)
    assert Own(size=32).__reduce_ex__(4)[1] == (Own,)
    assert pickle.loads(pickle.dumps(processor)).to_dict() == processor.to_dict()
