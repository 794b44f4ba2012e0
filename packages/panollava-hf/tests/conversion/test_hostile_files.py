"""Damaged and hostile checkpoint files: a result or a one-line CheckpointError, quickly, in little memory."""

import gzip
import os
import random
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import torch
from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._checkpoint import read_checkpoint
from panollava_hf.conversion._values import shown
from safetensors.torch import save_file

#: Seconds of one case; the slowest takes about 2 on a quiet machine.
BOUND = 10.0


def refusal(path):
    """The message for a file, or None if it is read; both within the bounds."""
    start = time.process_time()
    try:
        read_checkpoint(path)
        message = None
    except CheckpointError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 1500
    assert time.process_time() - start < BOUND
    return message


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """The entries of a small valid checkpoint."""
    path = tmp_path_factory.mktemp("valid") / "x.ckpt"
    parameters = {"stage": "vision", "image_size": (32, 32), "path": Path("a/b"), "set": {1, 2}, "f": frozenset({3})}
    tensors = {"model.a": torch.arange(300.0), "model.b": torch.zeros(3, 4).half()}
    torch.save({"state_dict": tensors, "hyper_parameters": parameters, "epoch": 1}, path)
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def archive(path, entries, method=None):
    """A file with these entries; `method` maps some of them to another compression."""
    with zipfile.ZipFile(path, "w") as written:
        for name, content in entries.items():
            written.writestr(f"x/{name}", content, (method or {}).get(name, zipfile.ZIP_STORED))
    return path


# Pickles written by hand.


def text(value):
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"M\x2c\x01tQ"
TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n("
    + STORAGE
    + b"K\x00M\x2c\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
)


def pickled(value, key=None):
    """A checkpoint's pickle with one hyper-parameter, whose value (and key) are given as operations."""
    state = text("state_dict") + b"}(" + text("model.a") + TENSOR + b"u"
    return b"\x80\x02}(" + state + text("hyper_parameters") + b"}(" + (key or text("a")) + value + b"uu."


def twice(start, make, times):
    """A value made of two of the value before it, again and again."""
    for place in range(times):
        start += b"q" + bytes([place]) + make(b"h" + bytes([place]))
    return start


DEEP = b"K\x01" + b"\x85" * 1_000_000
SHARED = twice(b"K\x01", lambda same: same + b"\x86", 60)
REFUSED = {
    "a deep key": pickled(b"K\x01", DEEP),
    "a deep value": pickled(DEEP),
    "deep lists": pickled(b"]" * 200_000 + b"a" * 199_999),
    "a key with shared parts": pickled(b"K\x01", SHARED),
    "a set": pickled(b"c__builtin__\nset\n](" + SHARED + b"e\x85R"),
    "a frozenset": pickled(b"c__builtin__\nfrozenset\n" + SHARED + b"\x85R"),
    "an ordered dictionary": pickled(b"ccollections\nOrderedDict\n]" + SHARED + b"a\x85R"),
    "attributes": pickled(b"ccollections\nOrderedDict\n)R" + SHARED + b"b"),
    "a persistent id": pickled(SHARED + b"Q"),
    "a storage's key": pickled(b"(" + text("storage") + b"ctorch\nFloatStorage\n" + SHARED + text("cpu") + b"K\x01tQ"),
    "a storage's class": pickled(b"(" + text("storage") + SHARED + text("0") + text("cpu") + b"K\x01tQ"),
    "a storage's device": pickled(b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + SHARED + b"K\x01tQ"),
    "a function": pickled(SHARED + b")R"),
    "a class": pickled(SHARED + b")\x81"),
    "doubled paths": pickled(
        b"(" + twice(text("a" * 8), lambda same: b"cpathlib\nPosixPath\n" + same + same + b"\x86R", 30) + b"t"
    ),
    "a path of paths": pickled(b"cpathlib\nPath\ncpathlib\nPath\n" + text("a") + b"\x85R\x85R"),
    "a storage on request": pickled(b"ctorch.storage\nUntypedStorage\n\x8a\x05\xff\xe7vH\x17\x85R"),
    "a storage larger than its entry": pickled(STORAGE.replace(b"M\x2c\x01", b"\x8a\x05\xff\xe7vH\x17")),
    "an encoding that doubles": pickled(b"c_codecs\nencode\n" + text("ab") + text("hex") + b"\x86R"),
    "copied lists": pickled(b"](" + b"K\x01" * 100_000 + b"eq\x00" + b"c__builtin__\nlist\nh\x00\x85R" * 2000),
    "a text as arguments": pickled(b"cfoo\nbar\n" + text("x" * 1_000_000) + b"R"),
    "too many sets": pickled(b"(" + b"\x8f" * 1_100_000 + b"t"),
    "too many operations": pickled(b"(" + b"K\x01" * 3_100_000 + b"t"),
    "keys with equal hashes": pickled(
        b"}(" + b"".join(b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(1, 20_000)) + b"u"
    ),
    "a name with control characters": pickled(b"cfoo\x1b[31m\nbar\n"),
    "a long name": pickled(b"c" + b"x" * 100_000 + b"\nbar\n"),
    "too many names": pickled(b"(" + b"".join(b"cfoo%d\nbar\n" % i for i in range(2000)) + b"t"),
    "an empty pickle": b"",
    "no value": b"\x80\x02.",
    "another protocol inside": b"\x80\x02\x80\x04" + pickled(b"N")[2:],
}


@pytest.mark.parametrize("name", REFUSED)
def test_pickles_that_exhaust_the_machine_are_refused(tmp_path, entries, name):
    assert refusal(archive(tmp_path / "x.ckpt", {**entries, "data.pkl": REFUSED[name]}))


READ = {
    "shared parts as a value": (pickled(SHARED), {}),
    "a cycle": (pickled(b"]q\x00h\x00\x85a"), {}),
    "a large number": (pickled(b"\x8a\xff" + b"\x7f" * 255), {"a": int.from_bytes(b"\x7f" * 255, "little")}),
    "a path": (pickled(b"cpathlib\nPosixPath\n" + text("a") + text("b") + b"\x86R"), {"a": "a/b"}),
    "a long key": (pickled(b"K\x01", text("y" * 100_000)), {}),
    "many objects": (pickled(b"(" + b"".join(b"cfoo%d\nbar\n)R" % i for i in range(500)) + b"t"), {}),
}


@pytest.mark.parametrize("name", READ)
def test_harmless_pickles_are_read(tmp_path, entries, name):
    data, parameters = READ[name]
    found = read_checkpoint(archive(tmp_path / "x.ckpt", {**entries, "data.pkl": data}))
    assert found.hyper_parameters == parameters
    assert torch.equal(found.tensors["model.a"], torch.arange(300.0))
    assert sum(map(len, found.notes)) < 5000


# The archive.


COMPRESSED = {
    "byteorder": (b"\0" * 50_000_000, zipfile.ZIP_DEFLATED),
    "data.pkl": (b"\0" * 50_000_000, zipfile.ZIP_BZIP2),
    "version": (b"3\n", zipfile.ZIP_LZMA),
    "data/0": (bytes(1200), zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_entries_are_refused(tmp_path, entries, name):
    content, method = COMPRESSED[name]
    message = refusal(archive(tmp_path / "x.ckpt", {**entries, name: content}, {name: method}))
    assert f"{name}' is compressed or encrypted" in message


def test_long_entries_are_refused(tmp_path, entries):
    assert "expected at most" in refusal(archive(tmp_path / "x.ckpt", {**entries, "byteorder": b"little" * 1000}))
    assert "expected at most" in refusal(archive(tmp_path / "x.ckpt", {**entries, "data.pkl": bytes(2**26 + 1)}))


#: Fields of an entry: their place in its own header and in the table of contents, and a value.
FIELDS = {
    "encrypted": (6, 8, 0x01),
    "patched": (6, 8, 0x20),
    "strongly encrypted": (6, 8, 0x41),
    "unknown method": (8, 10, 99),
    "unknown version": (4, 6, 99),
}


@pytest.mark.parametrize("what", FIELDS)
@pytest.mark.parametrize("name", ["data.pkl", "byteorder", "version", "data/0"])
def test_flags_and_methods(tmp_path, entries, what, name):
    path = archive(tmp_path / "x.ckpt", entries)
    data = bytearray(path.read_bytes())
    for mark, length, header, place in ((b"PK\3\4", 26, 30, FIELDS[what][0]), (b"PK\1\2", 28, 46, FIELDS[what][1])):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            (size,) = struct.unpack_from("<H", data, at + length)
            if data[at + header : at + header + size] == f"x/{name}".encode():
                struct.pack_into("<H", data, at + place, FIELDS[what][2])
    path.write_bytes(data)
    assert "compressed or encrypted" in refusal(path) or "damaged" in refusal(path)


def test_two_archives_in_one_file(tmp_path, entries):
    """Python's and PyTorch's zip readers must not find different entries."""
    data = archive(tmp_path / "x.ckpt", entries).read_bytes()
    (tmp_path / "x.ckpt").write_bytes(b"PK" + data)
    assert "other data precedes" in refusal(tmp_path / "x.ckpt")
    (tmp_path / "x.ckpt").write_bytes(data + b"PK")
    assert "has no end" in refusal(tmp_path / "x.ckpt")


def test_a_table_of_contents_of_any_size(tmp_path, entries):
    names = {f"{place:0200}": b"" for place in range(70_000)}
    assert "table of contents" in refusal(archive(tmp_path / "x.ckpt", {**entries, **names}))


def test_tensors_that_share_their_data_many_times(tmp_path):
    stored = torch.zeros(1000)
    torch.save({"state_dict": {f"model.{place}": stored for place in range(100_000)}}, tmp_path / "x.ckpt")
    message = refusal(tmp_path / "x.ckpt")
    assert "share the same data" in message or "more than" in message
    torch.save({"state_dict": {f"model.{place}": stored for place in range(12)}}, tmp_path / "x.ckpt")
    assert len(read_checkpoint(tmp_path / "x.ckpt").tensors) == 12


def mutations(entries, count):
    """Changed bytes of the pickle and of the file, and moved, repeated and inserted parts of the pickle."""
    chance = random.Random(0)
    data = entries["data.pkl"]
    operations = b"\x80cR\x81baesu(t\x85\x86\x87N\x88\x89)]}\x8fJKMG\x8aXUQhjqr.0"
    for number in range(count):
        changed = bytearray(data)
        if number % 2:
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
        else:
            start, end = sorted(chance.randrange(len(data)) for _ in range(2))
            at = chance.randrange(len(data))
            inserted = chance.choice([data[start:end], bytes([chance.choice(operations)])])
            changed = chance.choice([data[:start] + data[end:], data[:at] + inserted + data[at:]])
        yield "pickle", bytes(changed)
        yield "file", [(chance.random(), chance.randrange(256)) for _ in range(chance.randint(1, 4))]


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_changed_files(tmp_path, entries, count):
    whole = archive(tmp_path / "whole.ckpt", entries).read_bytes()
    refused = 0
    for kind, change in mutations(entries, count):
        path = tmp_path / "x.ckpt"
        if kind == "pickle":
            archive(path, {**entries, "data.pkl": change})
        else:
            data = bytearray(whole)
            for place, byte in change:
                data[int(place * len(data))] = byte
            path.write_bytes(data)
        refused += refusal(path) is not None
    assert refused > count / 2


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_files_that_were_cut_off(tmp_path, entries, share):
    data = archive(tmp_path / "x.ckpt", entries).read_bytes()
    (tmp_path / "x.ckpt").write_bytes(data[: int(share * len(data))])
    assert refusal(tmp_path / "x.ckpt")


# Contents that cannot be converted.


CONTENTS = {
    "an empty state_dict": ({"state_dict": {}}, "state_dict is empty"),
    "keys that are not texts": ({"state_dict": {1: torch.zeros(1)}}, "has the key 1"),
    "a key with line breaks": ({"state_dict": {"a\nb": torch.zeros(1)}}, r"the key 'a\nb'"),
    "a key of a megabyte": ({"state_dict": {"a" * 2**20: torch.zeros(1)}}, "has the key"),
    "values that are not tensors": ({"state_dict": {"a": 1}}, "is a int, expected a tensor"),
    "complex numbers": ({"state_dict": {"a": torch.zeros(2, dtype=torch.complex64)}}, "complex numbers"),
    "a quantised tensor": (
        lambda: {"state_dict": {"a": torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8)}},
        "dense tensors",
    ),
    "a compressed sparse tensor": (lambda: {"state_dict": {"a": torch.eye(3).to_sparse_csr()}}, "dense tensors"),
    "only weights": ({"model.a": torch.zeros(1)}, "expected a dictionary with a state_dict"),
    "a tensor": (torch.zeros(3), "expected a dictionary with a state_dict"),
    "nothing": (None, "expected a dictionary with a state_dict"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CONTENTS)
def test_contents_that_cannot_be_converted(tmp_path, name):
    content, message = CONTENTS[name]
    torch.save(content() if callable(content) else content, tmp_path / "x.ckpt")
    assert message in refusal(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    "parameters", [[1, 2], None, "text", 3, torch.zeros(1)], ids=lambda value: type(value).__name__
)
def test_hyper_parameters_of_other_types(tmp_path, parameters):
    tensors = {"model.a": torch.tensor(float("nan")), "model.b": torch.zeros(0)}
    torch.save({"state_dict": tensors, "hyper_parameters": parameters}, tmp_path / "x.ckpt")
    found = read_checkpoint(tmp_path / "x.ckpt")
    assert found.hyper_parameters == {}
    assert "hyper_parameters is not read" in found.notes[0]


# Other files and folders.


def older(path):
    torch.save({"state_dict": {}}, path, _use_new_zipfile_serialization=False)


def tar(path):
    with tarfile.open(path, "w") as written:
        written.addfile(tarfile.TarInfo("storages"))


OTHER_FILES = {
    "x.ckpt PyTorch before 1.6": (older, "PyTorch before 1.6.*save it again"),
    "x.ckpt pickle": (lambda path: path.write_bytes(b"\x80\x04N."), "plain pickle"),
    "x.ckpt tar": (tar, "tar archive"),
    "x.ckpt safetensors": (lambda path: save_file({"a": torch.zeros(1)}, path), "safetensors file"),
    "x.ckpt git-lfs": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "x.ckpt gzip": (lambda path: path.write_bytes(gzip.compress(b"a")), "gzip"),
    "x.ckpt web page": (lambda path: path.write_text("<!doctype html><html>Sign in"), "web page.*download"),
    "x.ckpt text": (lambda path: path.write_text("epoch,loss\n1,2\n"), "expected the zip archive"),
    "x.ckpt pipe": (os.mkfifo, "not a regular file"),
    "__0_0.distcp": (lambda path: torch.save({}, path), "dcp_to_torch_save"),
    ".metadata": (lambda path: path.write_bytes(b"\x80\x04N."), "dcp_to_torch_save"),
    "mp_rank_00_model_states.pt": (lambda path: torch.save({}, path), "zero_to_fp32"),
    "zero_pp_rank_0_mp_rank_00_optim_states.pt": (lambda path: torch.save({}, path), "zero_to_fp32"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_other_files(tmp_path, name):
    path = tmp_path / name.partition(" ")[0]
    OTHER_FILES[name][0](path)
    with pytest.raises(CheckpointError, match=OTHER_FILES[name][1]):
        read_checkpoint(path)


FOLDERS = {
    "FSDP": ([".metadata", "__0_0.distcp", "__1_0.distcp", "meta.pt"], "FSDP.*dcp_to_torch_save"),
    "FSDP of two ranks": (["__0_0.distcp", "__1_0.distcp"], "FSDP.*dcp_to_torch_save"),
    "FSDP inside": (["last.ckpt/.metadata", "last.ckpt/__0_0.distcp"], "FSDP.*dcp_to_torch_save"),
    "DeepSpeed": (["latest", "zero_to_fp32.py", "checkpoint/mp_rank_00_model_states.pt"], "DeepSpeed.*zero_to_fp32"),
    "DeepSpeed ZeRO-3": (["global_step9/zero_pp_rank_0_mp_rank_00_model_states.pt"], "DeepSpeed.*zero_to_fp32"),
    "DeepSpeed in bfloat16": (["bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"], "DeepSpeed.*zero_to_fp32"),
    "Transformers": (["config.json", "model.safetensors"], "needs no conversion"),
    "a run": (["hparams.yaml", "checkpoints/last.ckpt"], r"give the \.ckpt file inside.*checkpoints/last\.ckpt"),
    "empty": ([], r"expected a \.ckpt file"),
    "images": (["a.jpg", "b.jpg"], r"expected a \.ckpt file"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(tmp_path, name):
    files, message = FOLDERS[name]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["a\0b.ckpt", "x" * 5000, "no/such.ckpt"])
def test_paths_that_cannot_be_read(path):
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [nested(60), "x" * 10**6, 10**5000, {str(n): n for n in range(10**5)}, [10**5000], float("nan"), b"\xff" * 1000],
    ids=["shared parts", "text", "number", "dictionary", "number in a list", "nan", "bytes"],
)
def test_values_in_messages_are_short(value):
    assert len(shown(value)) < 400
    assert shown(value).isprintable()
