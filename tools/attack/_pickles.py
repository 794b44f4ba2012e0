"""Checkpoints of the original code: damaged archives, hostile pickles, bombs, settings that ask for too much."""

import importlib.util
import io
import json
import pickletools
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from tools.attack._checkpoints import CODE
from tools.attack._commands import command
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import TEXTS, json_bytes, mutate_bytes, mutate_tree, value
from tools.attack._settings import BILLION

MAKER = Path(__file__).parents[2] / "packages" / "panollava-hf" / "tests" / "conversion" / "conftest.py"


@cache
def originals() -> dict[str, bytes]:
    """A small checkpoint of the original code, its model config and its two towers, by relative name."""
    specification = importlib.util.spec_from_file_location("panollava_attack_original", MAKER)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    folder = Path(tempfile.mkdtemp(prefix="panollava-original-"))
    try:
        vision, language = module.siglip(), module.qwen2()
        width = vision.config.hidden_size
        original = module.Original(folder, vision, language, [width, 40, 24], dict(module.SETTINGS))
        original.save()
        shutil.rmtree(folder / "trained")
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read(folder: Path, attempt: Attempt) -> None:
    """Read the file alone."""
    from panollava_hf.conversion._checkpoint import read_checkpoint

    checkpoint = read_checkpoint(folder / "last.ckpt")
    sum(tensor.numel() for tensor in checkpoint.tensors.values())


def convert(folder: Path, attempt: Attempt) -> None:
    """Convert it with the command, mostly as a dry run."""
    arguments = ["convert", "--lightning-ckpt", str(folder / "last.ckpt"), "--output-dir", str(folder / "out")]
    if attempt.values.get("towers", True):
        arguments += ["--vision-tower", str(folder / "vision"), "--text-tower", str(folder / "text")]
    if attempt.values.get("dry", True):
        arguments.append("--dry-run")
    command(arguments)


@cache
def _entries() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(originals()["last.ckpt"])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(entries: dict[str, bytes], changed: dict[str, dict[str, int]] | None = None) -> bytes:
    """A zip archive of stored entries as torch writes it, with some fields of the directory changed afterwards."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    whole = bytearray(stream.getvalue())
    places = {"flags": (6, 8), "method": (8, 10), "size": (22, 24)}
    for name, fields in (changed or {}).items():
        encoded = name.encode()
        local, central = whole.find(encoded) - 30, whole.rfind(encoded) - 46
        for field_name, number in fields.items():
            form = "<I" if field_name == "size" else "<H"
            for start, offset in zip((local, central), places[field_name], strict=True):
                struct.pack_into(form, whole, start + offset, number)
    return bytes(whole)


def _pickle_name() -> str:
    return next(name for name in _entries() if name.endswith("data.pkl"))


def _with_pickle(data: bytes) -> bytes:
    return _zipped({**_entries(), _pickle_name(): data})


def _files(checkpoint: bytes, **more: bytes) -> dict[str, bytes]:
    return {**originals(), "last.ckpt": checkpoint, **more}


@kind("ckpt.bytes", read, weight=2)
def damaged(rng: Random, number: int) -> Attempt:
    """Damaged archives: bytes, entries, the pickle alone."""
    entries = dict(_entries())
    what = rng.randrange(4)
    if what == 0:
        return Attempt({"last.ckpt": mutate_bytes(rng, originals()["last.ckpt"])})
    if what == 1:
        name = rng.choice(list(entries))
        entries[name] = rng.choice((b"", entries[name][:-1], entries[name] * 2, mutate_bytes(rng, entries[name], 1)))
    elif what == 2:
        del entries[rng.choice(list(entries))]
    else:
        entries[_pickle_name()] = mutate_bytes(rng, entries[_pickle_name()], 2)
    return Attempt({"last.ckpt": _zipped(entries)})


@kind("ckpt.zip", read)
def archives(rng: Random, number: int) -> Attempt:
    """Archives with encryption and patch flags, other methods, names that lead out, two roots, inflated entries."""
    entries, name = _entries(), _pickle_name()
    order = next((n for n in entries if n.endswith("byteorder")), name)
    root = name.removesuffix("data.pkl")
    marked = [(n, {"flags": flag}) for n in (name, order) for flag in (1, 0x20, 0x40, 0x2000)]
    marked += [(n, {"method": method}) for n in (name, order) for method in (99, 12, 14, 8)]
    marked += [(order, {"size": 2**31})]
    made: list[Callable[[], bytes]] = [
        lambda: _zipped({**entries, "../../out": b"x"}),
        lambda: _zipped({**entries, "other/data.pkl": b"x"}),
        lambda: _zipped({**entries, name.upper(): b"x"}),
        lambda: _inflated({n: d for n, d in entries.items() if n != order}, f"{root}byteorder"),
        lambda: b"PK\x05\x06" + bytes(18),
        lambda: b"PK",
        lambda: originals()["last.ckpt"] * 2,
        lambda: b"\x80\x02}q\0.",
        lambda: b"",
    ]
    chosen = number % (len(marked) + len(made))
    if chosen < len(made):
        return Attempt({"last.ckpt": made[chosen]()})
    entry, fields = marked[chosen - len(made)]
    return Attempt({"last.ckpt": _zipped(entries, {entry: fields})})


@cache
def _gigabytes() -> bytes:
    """3 GB of zeros, deflated: one block again and again."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = compressor.compress(bytes(2**24)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return block * 192 + compressor.flush()


def _inflated(entries: dict[str, bytes], name: str) -> bytes:
    """An archive with one deflated entry of 3 GB."""
    whole = bytearray(_zipped({**entries, name: _gigabytes()}, {name: {"method": 8}}))
    place = whole.rfind(name.encode()) - 46
    struct.pack_into("<I", whole, place + 24, 192 * 2**24)
    local = whole.find(name.encode()) - 30
    struct.pack_into("<I", whole, local + 22, 192 * 2**24)
    return bytes(whole)


# Pickles, written operation by operation. None of them may run code, crash, hang or fill the memory.

EVIL = (
    b'\x80\x02cos\nsystem\n(U\x1ctouch "$PANOLLAVA_CANARY"\0\0\0tR.',
    b'\x80\x02cposix\nsystem\nU\x18touch "$PANOLLAVA_CANARY"\x85R.',
    b"\x80\x02cbuiltins\nexec\nU\x04pass\x85R.",
    b"\x80\x02cevil\nC\n)R.",
    b"\x80\x02csubprocess\nPopen\n]U\x05touchaX\x01\0\0\0aae\x85R.",
    b"\x80\x02ctorch\nload\nU\x01x\x85R.",
    b"\x80\x02ctorch.hub\nload\n(U\x01.U\x01CtR.",
    b"\x80\x02cbuiltins\neval\nU\x011\x85R.",
    b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x04\x85R.",
    b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
)


def _shared(depth: int) -> bytes:
    """A tuple whose parts are one and the same, so that its printed form doubles with each level."""
    return b"K\x01" + b"2\x86" * depth


def _deep(depth: int) -> bytes:
    return b")" + b"\x85" * depth


def _path_bomb(times: int) -> bytes:
    step = b"q\x01" + b"0cpathlib\nPosixPath\nh\x01h\x01\x86R"
    return b"X\x40\0\0\0" + b"a" * 64 + step * times


def _state(body: bytes) -> bytes:
    """`{"state_dict": {}, "hyper_parameters": {"x": body}}`."""
    return b"\x80\x02}(X\x0a\0\0\0state_dict}X\x10\0\0\0hyper_parameters}X\x01\0\0\0x" + body + b"su."


SETTING = ("stitching_mode", "vision_name", "language_model_name", "pe_temperature", "resampler_type", "image_size")


@kind("ckpt.pickle", read, weight=2)
def hostile(rng: Random, number: int) -> Attempt:
    """Pickles that name functions, share parts, nest, double, or use the operations in another order."""
    depth = rng.choice((10, 60, 1000))
    bombs: tuple[bytes, ...] = (
        *EVIL,
        *(
            _state(part)
            for part in (
                _shared(depth),
                _deep(10**6),
                _path_bomb(25),
                b"cbuiltins\nfrozenset\n]" + _shared(60) + b"a\x85R",
            )
        ),
        _state(b"}" + _shared(60) + b"K\x01s"),
        _state(b"}" + _deep(10**6) + b"K\x01s"),
        b"\x80\x02}X\x0a\0\0\0state_dict}" + _shared(60) + b"K\x01ss.",
        b"\x80\x02" + _shared(60) + b"Q.",
        b"\x80\x02(" + _shared(60) + b"U\x05hello" + b"tQ.",
        _state(b"]q\x05h\x05a"),
        _state(b"}q\x05X\x01\0\0\0ah\x05s"),
        _state(b"L" + b"9" * 100_000 + b"L\n"),
        _state(b"\x8a\xff" + b"\x7f" * 255),
        b"\x80\x02" + b"]" * 10**5 + b".",
        b"\x80\x02" + b"(" * 10**6 + b".",
        b"\x80\x02" + b"0" * 10 + b".",
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\0\0\0itemsK\x01sb.",
    )
    if number % 3 == 2:
        return Attempt({"last.ckpt": _with_pickle(_shuffled(rng, _entries()[_pickle_name()]))})
    return Attempt({"last.ckpt": _with_pickle(bombs[(number * 2 // 3) % len(bombs)]), "evil.py": CODE})


def _shuffled(rng: Random, data: bytes) -> bytes:
    """The pickle with some of its operations repeated, removed, swapped or replaced."""
    places = [place for _, _, place in pickletools.genops(data) if place is not None] + [len(data)]
    parts = [data[a:b] for a, b in pairwise(places)]
    for _ in range(rng.randrange(1, 5)):
        place, other = rng.randrange(1, len(parts)), rng.randrange(1, len(parts))
        what = rng.randrange(4)
        if what == 0:
            parts[place], parts[other] = parts[other], parts[place]
        elif what == 1:
            parts.insert(place, parts[other])
        elif what == 2:
            parts[place] = rng.choice(
                (b"N", b"]", b"}", b")", b"K\x07", b"U\x01x", b"0", b"2", b"Q", b"R", b"b", b"e", b"u")
            )
        else:
            del parts[place]
    return b"".join(parts)


@kind("ckpt.settings", convert, weight=3)
def settings(rng: Random, number: int) -> Attempt:
    """Hyper-parameters and model configs of any value: bounds, types, aliases that double, depth."""
    files = dict(originals())
    tree = json.loads(files["last.model_config.json"])
    tree |= {"fov_deg": 90.0, "image_size": 24, "pe_temperature": 10_000.0, "max_text_length": 64, "num_views": None}
    changes: tuple[tuple[str, Any], ...] = (
        *(("fov_deg", n) for n in (1e-3, 1e-7, 0)),
        *(("overlap_ratio", n) for n in (0.99999999, 1, -1)),
        *(("pe_temperature", n) for n in (0, -1, float("inf"), float("nan"))),
        *(("image_size", n) for n in (float("nan"), "x", 10**7, -1, [24, 24])),
        *((name, [["x"] * 9] * 9) for name in SETTING),
    )
    what = rng.randrange(4)
    if what == 0:
        name, found = changes[number % len(changes)]
        tree[name] = found
        files["last.model_config.json"] = json.dumps(tree).encode()
    elif what == 1:
        files["last.model_config.json"] = json_bytes(rng, mutate_tree(rng, tree))
    elif what == 2:
        del files["last.model_config.json"]
        texts = (
            BILLION + f"{rng.choice(SETTING)}: *a9\n",
            "a: " + "[" * 20_000,
            "[" * 100_000,
            "resampler_type: mlp\n",
        )
        files["last.model_config.yaml"] = texts[number % len(texts)].encode()
    else:
        name, found = changes[number % len(changes)]
        files["last.ckpt"] = _with_parameters(rng, {name: found, rng.choice((*SETTING, "lora_rank")): value(rng)})
    return Attempt(files, {"dry": rng.random() < 0.8})


@cache
def _checkpoint() -> dict[str, Any]:
    import torch

    return dict(torch.load(io.BytesIO(originals()["last.ckpt"]), weights_only=True))


def _with_parameters(rng: Random, changed: dict[str, Any]) -> bytes:
    import torch

    stream = io.BytesIO()
    found = _checkpoint()
    torch.save({**found, "hyper_parameters": {**found["hyper_parameters"], **changed}}, stream)
    return stream.getvalue()


@kind("ckpt.tensors", convert, weight=2)
def tensors(rng: Random, number: int) -> Attempt:
    """State dictionaries with missing, foreign, huge, overlapping and oddly typed tensors, and wrapped keys."""
    import torch

    found = _checkpoint()
    state = dict(found["state_dict"])
    names = list(state)
    for _ in range(rng.randrange(1, 4)):
        name = rng.choice(names)
        what = rng.randrange(9)
        if name not in state:
            continue
        if what == 0:
            del state[name]
        elif what == 1:
            state[rng.choice(("module.", "_orig_mod.", "_forward_module.", "x.")) + name] = state.pop(name)
        elif what == 2:
            state[name] = torch.zeros(1).expand(*(10**9 if n > 1 else 1 for n in state[name].shape))
        elif what == 3:
            state[name] = state[name].to(rng.choice((torch.int8, torch.complex64, torch.bool, torch.float64)))
        elif what == 4:
            state[name] = state[name].reshape(-1)
        elif what == 5:
            state[name] = torch.full_like(state[name], rng.choice((float("nan"), float("inf"))))
        elif what == 6:
            state[name] = rng.choice((None, 5, "x", [1], torch.zeros(0)))
        elif what == 7:
            state[rng.choice([t for t in TEXTS if "\ud800" not in t])] = state[name]
        else:
            state[name] = torch.zeros(rng.choice((1, 3, 7)), *state[name].shape[1:])
    stream = io.BytesIO()
    torch.save({**found, "state_dict": state}, stream)
    return Attempt(_files(stream.getvalue()), {"dry": rng.random() < 0.7})


@kind("ckpt.towers", convert, weight=2)
def towers(rng: Random, number: int) -> Attempt:
    """Towers whose folders name code of their own or are damaged. stdin answers "y"."""
    files = dict(originals())
    auto_map = {"AutoConfig": "evil.C", "AutoModel": "evil.C", "AutoModelForCausalLM": "evil.C"}
    part = rng.choice(("vision", "text"))
    what = number % 5
    if what == 0:
        files[f"{part}/config.json"] = json.dumps({"model_type": "evil", "auto_map": auto_map}).encode()
    elif what == 1:
        tree = json.loads(files["text/tokenizer_config.json"])
        tree |= {"auto_map": {"AutoTokenizer": ["evil.C", "evil.C"]}, "tokenizer_class": "C"}
        files["text/tokenizer_config.json"] = json.dumps(tree).encode()
    elif what == 2:
        tree = json.loads(files[f"{part}/config.json"])
        files[f"{part}/config.json"] = json.dumps({**tree, "auto_map": auto_map}).encode()
    elif what == 3:
        name = rng.choice([n for n in files if "/" in n and n.endswith(".json")])
        files[name] = json_bytes(rng, mutate_tree(rng, json.loads(files[name]), 2))
    else:
        tree = json.loads(files["last.model_config.json"]) | {
            "vision_name": "./vision",
            "language_model_name": "./text",
        }
        files["last.model_config.json"] = json.dumps(tree).encode()
        files["vision/config.json"] = json.dumps({"model_type": "evil", "auto_map": auto_map}).encode()
    for folder in ("vision", "text", "."):
        files[f"{folder}/evil.py"] = CODE
    return Attempt(files, {"towers": what != 4})


@kind("ckpt.names", convert)
def odd_names(rng: Random, number: int) -> Attempt:
    """Names of towers with line breaks, code blocks and front matter, which reach the model card."""
    text = rng.choice(
        ("a\nb", "```\nrm -rf\n```", "x\n---\nlicense: mit\n---", "[a](javascript:x)", "<b>", "owner/name\n# Hi")
    )
    name = rng.choice(("vision_name", "language_model_name", "stage", "stitching_mode"))
    return Attempt(_files(_with_parameters(rng, {name: text})), {"dry": False})
