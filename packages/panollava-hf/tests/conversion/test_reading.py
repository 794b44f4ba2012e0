"""Reading runs no code of the file: hostile files are read around or refused, and tensors are what torch reads."""

import os
import pickle
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path

import pytest
import torch
from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._checkpoint import read_checkpoint


class Marker:
    """Creates a folder when it is unpickled by a reader that runs pickled code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (exec, (f"import os; os.mkdir({str(self.path)!r})",))


class SystemMarker(Marker):
    """The same, through a function of a module that PyTorch never accepts."""

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


class Loud(dict):
    """Runs code in `__setstate__`, through BUILD rather than REDUCE."""

    def __setstate__(self, state):
        Path(state["path"]).mkdir()


class Settings(dict):
    """A dictionary of another package."""


class Names(list):
    """A list of another package."""


def write(path, **entries):
    torch.save({"state_dict": {"model.a": torch.arange(3.0)}, "hyper_parameters": {"stage": "vision"}, **entries}, path)
    return path


@pytest.mark.parametrize("kind", [Marker, SystemMarker])
def test_marker_works(tmp_path, kind):
    """A reader that runs pickled code creates the marker."""
    path = write(tmp_path / "x.ckpt", hyper_parameters={"evil": kind(tmp_path / "marker")})
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
    assert any("builtins.exec" in note for note in found.notes)


@pytest.mark.parametrize("place", PLACES)
def test_functions_of_the_system_are_refused(tmp_path, place):
    marker = tmp_path / "marker"
    path = write(tmp_path / "x.ckpt", **PLACES[place](SystemMarker(marker)))
    with pytest.raises(CheckpointError, match=r"safe reader refuses this file \(.*posix\.mkdir.*save a new file"):
        read_checkpoint(path)
    assert not marker.exists()


def test_build_never_runs(tmp_path):
    marker, evil = tmp_path / "marker", Loud()
    evil.path = str(marker)
    found = read_checkpoint(write(tmp_path / "x.ckpt", hyper_parameters={"evil": evil, "stage": "vision"}))
    assert not marker.exists()
    assert found.hyper_parameters == {"stage": "vision"}


@pytest.mark.parametrize("value", [Settings(a=1), Names([1])], ids=["dictionary", "list"])
def test_filled_containers_of_other_packages_are_refused(tmp_path, value):
    path = write(tmp_path / "x.ckpt", hyper_parameters={"value": value})
    with pytest.raises(CheckpointError, match=rf"{type(value).__name__}.*plain hyper_parameters"):
        read_checkpoint(path)


REFUSED = {
    "a tensor": lambda evil: {"state_dict": {"model.a": torch.zeros(1), "model.b": evil}},
    "the state_dict": lambda evil: {"state_dict": evil},
    "inside a value": lambda evil: {"state_dict": {"model.a": [evil]}},
}


@pytest.mark.parametrize("place", REFUSED)
def test_tensors_that_need_code_are_refused(tmp_path, place):
    marker = tmp_path / "marker"
    path = write(tmp_path / "x.ckpt", **REFUSED[place](Marker(marker)))
    with pytest.raises(CheckpointError, match=r"state_dict.*builtins\.exec|builtins\.exec.*state_dict"):
        read_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize("kind", [Marker, SystemMarker])
def test_whole_file_is_code(tmp_path, kind):
    marker = tmp_path / "marker"
    torch.save(kind(marker), tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"builtins\.exec|posix\.mkdir"):
        read_checkpoint(tmp_path / "x.ckpt")
    assert not marker.exists()


def test_registered_classes_are_not_built(tmp_path):
    """What the process has allowed `torch.load` to build does not apply here, and applies again afterwards."""
    marker, evil = tmp_path / "marker", Loud()
    evil.path = str(marker)
    path = write(tmp_path / "x.ckpt", hyper_parameters={"evil": evil})
    with torch.serialization.safe_globals([Loud]):
        assert read_checkpoint(path).hyper_parameters == {}
        assert Loud in torch.serialization.get_safe_globals()
    assert not marker.exists()
    assert Loud not in torch.serialization.get_safe_globals()


OTHER_TENSORS = {
    "sparse": torch.eye(3).to_sparse(),
    "meta": torch.empty(3, device="meta"),
}


@pytest.mark.parametrize("kind", OTHER_TENSORS)
def test_only_plain_tensors(tmp_path, kind):
    path = write(tmp_path / "x.ckpt", state_dict={"model.a": OTHER_TENSORS[kind]})
    with pytest.raises(CheckpointError, match=r"needs torch\._utils\._rebuild.*dense tensors"):
        read_checkpoint(path)


def test_a_tensor_larger_than_the_file_stores(tmp_path):
    """With a stride of 0, a file of a kilobyte can describe a tensor of any size."""
    path = write(tmp_path / "x.ckpt", state_dict={"model.a": torch.zeros(1).expand(10**9)})
    with pytest.raises(CheckpointError, match=r"state_dict\['model\.a'\] has shape \(1000000000,\)"):
        read_checkpoint(path)


def test_memory_on_request_is_refused(tmp_path):
    path = write(tmp_path / "x.ckpt", hyper_parameters={"a": bytearray(b"abc")})
    with pytest.raises(CheckpointError, match=r"needs builtins\.bytearray"):
        read_checkpoint(path)


def test_another_pickle_protocol_is_named(tmp_path):
    torch.save({"state_dict": {"model.a": torch.zeros(1)}}, tmp_path / "x.ckpt", pickle_protocol=4)
    with pytest.raises(CheckpointError, match=r"pickle protocol 4, expected 2.*torch\.save"):
        read_checkpoint(tmp_path / "x.ckpt")


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
    # The same in the protocol and with the operations that PyTorch accepts.
    "accepted operations": b"\x80\x02cposix\nsystem\nX\x0c\x00\x00\x00touch MARKER\x85R.",
    "accepted eval": b'\x80\x02c__builtin__\neval\nX\x13\x00\x00\x00open("MARKER", "w")\x85R.',
    "accepted allocation": b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\xff\xe7vH\x17\x85R.",
    "state on a class": b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00xK\x01sb.",
    "state on a stand-in": b"\x80\x02cargparse\nNamespace\n}X\x06\x00\x00\x00updateK\x01sb.",
    "attributes": b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsc__builtin__\neval\nsb.",
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
    attack = b"\x80\x02cargparse\nNamespace\nN}X\x06\x00\x00\x00updateX\x04\x00\x00\x00gones\x86b."
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
    known |= {"h": defaultdict(list, {"a": [1]}), "i": deque([1, 2]), "j": frozenset({1}), "k": Counter("aab")}
    found = read_checkpoint(write(tmp_path / "x.ckpt", hyper_parameters=known))
    assert found.hyper_parameters == {**known, "f": "runs/x", "i": [1, 2]}
    assert found.notes == ()


def test_schedulers_and_foreign_settings_are_read_around(tmp_path):
    """What Lightning and other packages leave in a checkpoint does not keep it from being converted."""
    import functools

    import numpy as np

    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
    foreign = {"a": functools.partial(max, 1), "b": np.float64(1.0), "c": [torch.nn.Linear(1, 1)]}
    path = write(
        tmp_path / "x.ckpt",
        hyper_parameters={"stage": "vision", **foreign},
        lr_schedulers=[scheduler.state_dict()],
        optimizer_states=[optimizer.state_dict()],
        callbacks={"ModelCheckpoint": {"best_model_score": torch.tensor(1.0), "dirpath": Path("runs")}},
    )
    found = read_checkpoint(path)
    assert found.hyper_parameters == {"stage": "vision"}
    notes = " ".join(found.notes)
    for name in (*(f"hyper_parameters[{key!r}]" for key in foreign), "functools.partial", "lr_schedulers"):
        assert name in notes


def test_cyclic_settings(tmp_path):
    cycle = []
    cycle.append((cycle,))
    found = read_checkpoint(write(tmp_path / "x.ckpt", hyper_parameters={"a": cycle, "b": 1}))
    assert found.hyper_parameters == {"b": 1}


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
    "text": "not a Lightning checkpoint",
    "empty": "not a Lightning checkpoint",
    "other zip": r"without the data\.pkl",
    "no storage": r"refuses this file.*data/0",
    "short storage": "damaged|refuses this file",
    "compressed": "compressed",
    "no state_dict": "expected a dictionary with a state_dict of tensors; it has weights",
    "a list": "got a list",
    "folder": "is a folder",
    "missing": "this file cannot be read .No such file",
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
    with pytest.raises(CheckpointError, match=r"refuses this file.*storage"):
        read_checkpoint(rewrite(path, data.replace(b"K\x03\x85", b"K\xc8\x85")))


def test_pickle_is_what_torch_writes_today(tmp_path):
    """The test above edits protocol 2; should torch change it, this says so."""
    with zipfile.ZipFile(write(tmp_path / "x.ckpt")) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    assert data[:2] == pickle.PROTO + b"\x02"
