"""Reading without running: what comes out is what torch reads, and nothing pickled ever happens."""

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._read import read_checkpoint


class Marker:
    """Leaves a file behind when it is unpickled by anyone who runs pickled code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


class Loud(dict):
    """Runs code in `__setstate__`, through BUILD rather than REDUCE."""

    def __setstate__(self, state):
        Path(state["path"]).mkdir()


def write(path, **entries):
    torch.save({"state_dict": {"model.a": torch.arange(3.0)}, "hyper_parameters": {"stage": "vision"}, **entries}, path)
    return path


def test_marker_works(tmp_path):
    """The bait is live: anyone who runs pickled code leaves the marker."""
    path = write(tmp_path / "x.ckpt", hyper_parameters={"evil": Marker(tmp_path / "marker")})
    torch.load(path, weights_only=False)
    assert (tmp_path / "marker").exists()


PLACES = {
    "hyper_parameters": lambda evil: {"hyper_parameters": {"stage": "vision", "evil": evil}},
    "deep in hyper_parameters": lambda evil: {"hyper_parameters": {"stage": "vision", "evil": [{"a": (1, evil)}]}},
    "a key": lambda evil: {"hyper_parameters": {"stage": "vision", evil: 1}},
    "top level": lambda evil: {"evil": evil},
    "callbacks": lambda evil: {"callbacks": {"EarlyStopping": {"state": evil}}},
}


@pytest.mark.parametrize("place", PLACES)
def test_pickled_code_never_runs(tmp_path, place):
    marker = tmp_path / "marker"
    found = read_checkpoint(write(tmp_path / "x.ckpt", **PLACES[place](Marker(marker))))
    assert not marker.exists()
    assert torch.equal(found.tensors["model.a"], torch.arange(3.0))
    assert found.hyper_parameters == {"stage": "vision"}
    assert any("posix.mkdir" in note for note in found.skipped)


def test_build_never_runs(tmp_path):
    marker, evil = tmp_path / "marker", Loud()
    evil.path = str(marker)
    found = read_checkpoint(write(tmp_path / "x.ckpt", hyper_parameters={"evil": evil, "stage": "vision"}))
    assert not marker.exists()
    assert found.hyper_parameters == {"stage": "vision"}


REFUSED = {
    "a tensor": lambda evil: {"state_dict": {"model.a": torch.zeros(1), "model.b": evil}},
    "the state_dict": lambda evil: {"state_dict": evil},
    "inside a value": lambda evil: {"state_dict": {"model.a": [evil]}},
}


@pytest.mark.parametrize("place", REFUSED)
def test_tensors_that_need_code_are_refused(tmp_path, place):
    marker = tmp_path / "marker"
    path = write(tmp_path / "x.ckpt", **REFUSED[place](Marker(marker)))
    with pytest.raises(CheckpointError, match=r"state_dict.*posix\.mkdir"):
        read_checkpoint(path)
    assert not marker.exists()


def test_whole_file_is_code(tmp_path):
    marker = tmp_path / "marker"
    torch.save(Marker(marker), tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"posix\.mkdir"):
        read_checkpoint(tmp_path / "x.ckpt")
    assert not marker.exists()


def rewrite(path, data):
    """A checkpoint whose pickle is replaced."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, data if name.endswith("data.pkl") else content)
    return path


HANDMADE = {
    "global, then call": b"cposix\nsystem\n(S'touch MARKER'\ntR.",
    "builtins": b'cbuiltins\neval\n(S\'open("MARKER", "w")\'\ntR.',
    "getattr on a maker": b"cbuiltins\ngetattr\n(ctorch._utils\n_rebuild_parameter\nS'__globals__'\ntR.",
    "attributes on a class": b"ccollections\nOrderedDict\n}S'x'\nI1\nsb.",
    "inst": b"(S'touch MARKER'\niposix\nsystem\n.",
    "extension code": b"\x82\x01.",
    "allocation": b"cbuiltins\nbytearray\n(I99999999999\ntR.",
    "foreign storage": b"(S'storage'\ncposix\nsystem\nS'0'\nS'cpu'\nI1\ntQ.",
    "no end": b"(S'touch MARKER'\n",
    "rubbish": b"\x80\x04\xff\xff",
}


@pytest.mark.parametrize("name", HANDMADE)
def test_handmade_pickles(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = rewrite(write(tmp_path / "x.ckpt"), HANDMADE[name])
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not (tmp_path / "MARKER").exists()


def test_one_file_leaves_nothing_for_the_next(tmp_path):
    """A pickle that puts attributes on what it was given changes nothing for other files."""
    attack = b"cargparse\nNamespace\n(N}S'update'\nS'gone'\nstb."
    with pytest.raises(CheckpointError):
        read_checkpoint(rewrite(write(tmp_path / "x.ckpt"), attack))
    import argparse

    found = read_checkpoint(write(tmp_path / "y.ckpt", hyper_parameters=argparse.Namespace(stage="vision")))
    assert found.hyper_parameters == {"stage": "vision"}


def test_same_tensors_as_torch(tmp_path):
    base = torch.randn(6, 5)
    tensors = OrderedDict(
        plain=base,
        transposed=base.T,
        view=base[1:4, ::2],
        scalar=torch.tensor(3.5),
        empty=torch.zeros(0, 3),
        half=torch.randn(4).half(),
        brain=torch.randn(4).bfloat16(),
        number=torch.arange(7),
        truth=torch.tensor([True, False]),
        double=torch.randn(3, dtype=torch.float64),
        parameter=torch.nn.Parameter(torch.randn(2, 2)),
    )
    path = write(tmp_path / "x.ckpt", state_dict=tensors)
    found, wanted = read_checkpoint(path).tensors, torch.load(path, weights_only=True)["state_dict"]
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].stride() == tensor.stride()
        assert torch.equal(found[name], tensor.detach()), name


def test_plain_values_of_hyper_parameters(tmp_path):
    known = {"a": 1, "b": [1.5, None], "c": ("x", True), "d": {"e": torch.float16}, "f": Path("runs") / "x", "g": {3}}
    found = read_checkpoint(write(tmp_path / "x.ckpt", hyper_parameters=known)).hyper_parameters
    assert found == {**known, "f": "runs/x"}


def test_tensors_are_windows_on_the_file(tmp_path):
    import psutil

    path = write(tmp_path / "x.ckpt", state_dict={"model.a": torch.zeros(64_000_000)})
    before = psutil.Process().memory_info().rss
    found = read_checkpoint(path)
    assert psutil.Process().memory_info().rss - before < 30_000_000
    found.tensors["model.a"][:10] = 1.0  # private: never reaches the file
    assert float(torch.load(path, weights_only=True)["state_dict"]["model.a"].sum()) == 0


def damaged(tmp_path, kind):
    path = write(tmp_path / "x.ckpt", state_dict={"model.a": torch.randn(4000)})
    if kind == "cut off":
        path.write_bytes(path.read_bytes()[:-2000])
    elif kind == "text":
        path.write_text("I am no checkpoint")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "other zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "hello")
    elif kind == "no storage":
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist() if "/data/" not in name}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
    elif kind == "short storage":
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content[:100] if "/data/" in name else content)
    elif kind == "compressed":
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
    elif kind == "no state_dict":
        torch.save({"weights": {}}, path)
    elif kind == "a list":
        torch.save([1, 2], path)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "missing":
        path.unlink()
    return path


MESSAGES = {
    "cut off": "cut off",
    "text": "no Lightning checkpoint",
    "empty": "no Lightning checkpoint",
    "other zip": r"without the data\.pkl",
    "no storage": "not in the archive",
    "short storage": "damaged",
    "compressed": "compressed",
    "no state_dict": "no state_dict.*weights",
    "a list": "holds a list",
    "folder": "is a folder",
    "missing": "no such file",
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_damaged_files(tmp_path, kind):
    with pytest.raises(CheckpointError, match=MESSAGES[kind]):
        read_checkpoint(damaged(tmp_path, kind))


def test_tensor_beyond_its_storage(tmp_path):
    """A size that the storage does not hold would read the neighbouring tensor, or fall off the file."""
    path = write(tmp_path / "x.ckpt", state_dict={"model.a": torch.zeros(3)})
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
        data = archive.read(name)
    assert data.count(b"K\x03\x85") == 1  # the size (3,)
    with pytest.raises(CheckpointError, match="reaches element 199"):
        read_checkpoint(rewrite(path, data.replace(b"K\x03\x85", b"K\xc8\x85")))


def test_pickle_is_what_torch_writes_today(tmp_path):
    """The test above edits protocol 2; should torch change it, this says so."""
    with zipfile.ZipFile(write(tmp_path / "x.ckpt")) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    assert data[:2] == pickle.PROTO + b"\x02"
