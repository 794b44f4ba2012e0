"""Checkpoint folders: changed settings, damaged, missing and foreign weights, lost adapters, code in the folder."""

import json
import os
import shutil
import struct
import sys
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tools.attack._commands import ASKED, command
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import NUMBERS, json_bytes, mutate_bytes, mutate_text, mutate_tree, value

ADAPTER = {
    "peft_type": "LORA",
    "base_model_name_or_path": None,
    "r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.0,
    "target_modules": ["q_proj", "v_proj"],
    "task_type": None,
    "bias": "none",
}
CODE = b"import os, pathlib\npathlib.Path(os.environ['PANOLLAVA_CANARY']).touch()\nclass C: pass\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 3850608\n"


@cache
def source() -> Path:
    """The checkpoint that all folders start from."""
    from panollava_hf import default_checkpoint

    return default_checkpoint()


@cache
def original(name: str) -> Any:
    """A JSON file of that checkpoint."""
    return json.loads((source() / name).read_text(encoding="utf-8"))


def fill(folder: Path, removed: tuple[str, ...] = ()) -> None:
    """Add the files of the embedded checkpoint that the input does not replace."""
    for path in source().iterdir():
        target = folder / path.name
        if not target.exists() and path.name not in removed:
            try:
                os.link(path, target)
            except OSError:
                shutil.copy(path, target)


def load(folder: Path, attempt: Attempt) -> None:
    """Load the folder and answer a question, or do it with a command. The folder is on `sys.path`, as with `-m`."""
    fill(folder, attempt.values.get("removed", ()))
    exported = folder.parent / f"{folder.name}-out"
    sys.path.insert(0, str(folder))
    try:
        _load(folder, exported, attempt.values.get("how", 0))
    finally:
        sys.path.remove(str(folder))
        shutil.rmtree(exported, ignore_errors=True)


def _load(folder: Path, exported: Path, how: int) -> None:
    if how == 0:
        import numpy as np
        from panollava_hf import Answerer

        answerer = Answerer.load(str(folder))
        answerer.answer(np.zeros((16, 32, 3), np.uint8), "What is ahead?", max_new_tokens=1)
        return
    from PIL import Image

    Image.new("RGB", (64, 32)).save(folder / ".x.png")
    if how == 1:
        arguments = ["ask", str(folder / ".x.png"), "What is ahead?", "--model", str(folder), "--max-new-tokens", "1"]
        command(arguments, codes=ASKED)
    elif how == 2:
        command(["export", str(exported), "--model", str(folder)])
    else:
        table = folder / ".t.csv"
        table.write_text(f"image,question,answer\n{folder / '.x.png'},What?,A room\n")
        out = str(folder / ".out")
        command(["eval", "--data", str(table), "--output", out, "--model", str(folder), "--max-new-tokens", "1"])


def _how(rng: Random) -> dict[str, Any]:
    return {"how": rng.choice((0, 0, 0, 0, 1, 2, 3))}


@kind("model.config", load, weight=4)
def config(rng: Random, number: int) -> Attempt:
    """Changed config.json."""
    return Attempt({"config.json": json_bytes(rng, mutate_tree(rng, _short_config(), 2))}, _how(rng))


def _short_config() -> dict[str, Any]:
    """The config without its history, and with three words of its lists: else hardly anything else would be changed."""
    config = {key: found for key, found in original("config.json").items() if key != "training_history"}
    return config | {name: found[:3] for name in ("known_words", "known_topics") if (found := config.get(name))}


@kind("model.bounds", load)
def bounds(rng: Random, number: int) -> Attempt:
    """Numbers of views, sizes and widths that nothing can hold."""
    tree = _short_config()
    processor = json.loads(json.dumps(original("processor_config.json")))
    inner = processor.get("image_processor", processor)
    changes: tuple[tuple[str, Any], ...] = (
        *(("num_views", n) for n in (10**7, 10**9, -1, 0)),
        *(("fov_deg", n) for n in (1e-4, 1e-7, 0, -5, 400)),
        *(("overlap_ratio", n) for n in (0.9999999, 0.99999999, 1, -1)),
        *(("crop_strategy", s) for s in ("sliding_window", "e2p", "x")),
        *(("latent_dimension", n) for n in (10**9, 0, -1)),
        *(("num_latent_tokens", n) for n in (10**12, 4 * 10**8, 0)),
        *(("positional_temperature", n) for n in (0, -1, float("inf"))),
        *(("lora_r", n) for n in (10**6, 10**9, 0)),
    )
    name, found = changes[number % len(changes)]
    tree[name] = found
    if name in ("fov_deg", "overlap_ratio", "num_views"):
        tree["crop_strategy"] = inner["crop_strategy"] = rng.choice(("anyres_e2p", "e2p", "sliding_window"))
        inner[name] = found
    if number % 3 == 1:
        inner["size"] = rng.choice(({"height": 10**5, "width": 10**5}, {"height": 0, "width": 8}, 7, [1, 2]))
    if number % 3 == 2:
        inner["token_grid"] = processor["token_grid"] = rng.choice(([20_000, 20_000], [0, 0], [-1, 2], 3))
    files = {"config.json": tree, "processor_config.json": processor}
    return Attempt({file: json.dumps(content).encode() for file, content in files.items()}, _how(rng))


@kind("model.processor", load, weight=2)
def processor(rng: Random, number: int) -> Attempt:
    """Changed processor_config.json and generation_config.json."""
    name = rng.choice(("processor_config.json",) * 3 + ("generation_config.json",))
    return Attempt({name: json_bytes(rng, mutate_tree(rng, original(name), 2))}, _how(rng))


@kind("model.tokenizer", load, weight=2)
def tokenizer(rng: Random, number: int) -> Attempt:
    """Changed tokenizer_config.json and tokenizer.json."""
    if rng.random() < 0.4:
        name = "tokenizer_config.json"
        return Attempt({name: json_bytes(rng, mutate_tree(rng, original(name), 2))}, _how(rng))
    tree = dict(original("tokenizer.json"))
    part = rng.choice([key for key in tree if key != "model"])
    tree[part] = mutate_tree(rng, [tree[part]], 2) if rng.random() < 0.8 else value(rng)
    if isinstance(tree[part], list) and len(tree[part]) == 1:
        (tree[part],) = tree[part]
    if rng.random() < 0.2:
        inner: Any = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
        for _ in range(rng.choice((3, 30, 60))):
            inner = {"type": "Sequence", "normalizers": [inner, inner]} if rng.random() < 0.1 else inner
        tree["normalizer"] = {"type": "Sequence", "normalizers": [inner] * rng.choice((1, 20, 40))}
    return Attempt({"tokenizer.json": json_bytes(rng, tree)}, _how(rng))


TEMPLATES = (
    "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3,
    "{{ 10 ** (10 ** 9) }}",
    "{{ 'a' * 10 ** 10 }}",
    "{{ ().__class__.__bases__[0].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('touch $PANOLLAVA_CANARY') }}",
    "{{ ''['format'](x) }}",
    "{% include '/etc/passwd' %}",
    "{{ raise_exception('no') }}",
    "{{ messages[99] }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{{",
    "",
    "no image at all",
    "{{ messages }}",
    "{% for m in messages %}<|vision|><|vision|>{% endfor %}",
)


@kind("model.template", load)
def template(rng: Random, number: int) -> Attempt:
    """Chat templates that loop, grow, reach for Python, or are damaged."""
    text = TEMPLATES[number % len(TEMPLATES)]
    if number // len(TEMPLATES) % 2:
        text = mutate_text(rng, (source() / "chat_template.jinja").read_text(encoding="utf-8"))
    return Attempt({"chat_template.jinja": text.encode("utf-8", "surrogatepass")}, {"how": 0})


# Weights.


@cache
def _weights() -> tuple[dict[str, Any], bytes]:
    data = (source() / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _packed(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


@kind("model.missing", load, weight=2)
def missing(rng: Random, number: int) -> Attempt:
    """Weights that are missing, renamed, reshaped or of another type: never silently random ones."""
    header, body = _weights()
    names = [name for name in header if name != "__metadata__"]
    kept = {"__metadata__": {"format": "pt"}}
    chosen = rng.choice(names)
    group = chosen.rsplit(".", rng.choice((1, 2, 3)))[0]
    gone = {name for name in names if name.startswith(group)} or {chosen}
    what = number % 4
    for name in names:
        entry = header[name]
        if name in gone and what == 0:
            continue
        if name in gone and what == 1:
            kept[rng.choice(("x.", "module.module.", "Model.")) + name] = entry
        elif name in gone and what == 2:
            kept[name] = {**entry, "shape": [*entry["shape"], 1]}
        elif name in gone and what == 3 and len(entry["shape"]) > 1:
            kept[name] = {**entry, "shape": [entry["shape"][0] * entry["shape"][1], *entry["shape"][2:]]}
        else:
            kept[name] = entry
    packed = _packed(_compact(kept), _body(kept, body))
    changed = what != 3 or any(len(header[name]["shape"]) > 1 for name in gone)
    return Attempt({"model.safetensors": packed}, _how(rng), must_fail=changed, note=f"{group} {what}")


def _compact(header: dict[str, Any]) -> dict[str, Any]:
    """The header with offsets as if the tensors lay one after another, as the format demands."""
    found, place = {}, 0
    for name, entry in header.items():
        if name == "__metadata__":
            found[name] = entry
            continue
        start, end = entry["data_offsets"]
        found[name] = {**entry, "data_offsets": [place, place + end - start]}
        place += end - start
    return found


def _body(header: dict[str, Any], body: bytes) -> bytes:
    return b"".join(body[slice(*e["data_offsets"])] for n, e in header.items() if n != "__metadata__")


@kind("model.damaged", load, weight=2)
def damaged(rng: Random, number: int) -> Attempt:
    """Files of a checkpoint that are cut, empty, pointers of Git LFS, folders, or of another format."""
    names = [path.name for path in source().iterdir() if path.name != "README.md"]
    name = names[number % len(names)]
    data = (source() / name).read_bytes()
    what = rng.randrange(7)
    damages = (
        data[: rng.randrange(len(data))],
        data[:-1],
        b"",
        POINTER,
        b"\0" * 100,
        b"[]",
        mutate_bytes(rng, data, 2),
    )
    if rng.random() < 0.1:
        return Attempt({f"{name}/inner": b""}, _how(rng))
    found = damages[what]
    certain = name in ("model.safetensors", "config.json", "tokenizer.json") and what in (1, 2, 3, 4, 5)
    return Attempt({name: found}, _how(rng), must_fail=certain and not (what == 1 and found.endswith(b"}")))


@kind("model.pickle", load)
def pickles(rng: Random, number: int) -> Attempt:
    """Weights as pickles that would run code, instead of safetensors."""
    evil = b"cos\nsystem\n(S'touch \"$PANOLLAVA_CANARY\"'\ntR."
    names = ("pytorch_model.bin", "model.bin", "adapter_model.bin", "pytorch_model.bin.index.json", "training_args.bin")
    name = names[number % len(names)]
    data = evil if not name.endswith(".json") else b'{"weight_map": {"a": "../../x.bin"}, "metadata": {}}'
    return Attempt({name: data}, {**_how(rng), "removed": ("model.safetensors",)}, must_fail=True)


@kind("model.folders", load)
def folders(rng: Random, number: int) -> Attempt:
    """Folders of other models, of photographs, with an index that names missing or outside files."""
    index = {
        "metadata": {},
        "weight_map": {"a": rng.choice(("missing.safetensors", "../../etc/passwd", "/dev/zero", 5))},
    }
    everything = tuple(path.name for path in source().iterdir())
    contents: tuple[tuple[dict[str, bytes], tuple[str, ...]], ...] = (
        ({}, everything),
        ({"config.json": b'{"model_type": "qwen2"}'}, everything),
        ({"config.json": b'{"model_type": "llava"}'}, ()),
        ({"config.json": b"{}"}, everything),
        ({"photo.jpg": b"\xff\xd8"}, everything),
        ({"model.safetensors.index.json": json.dumps(index).encode()}, ("model.safetensors",)),
        ({}, ("model.safetensors",)),
        ({}, ("config.json",)),
        ({}, ("tokenizer.json", "tokenizer_config.json")),
        ({}, ("processor_config.json",)),
    )
    files, removed = contents[number % len(contents)]
    return Attempt(files, {**_how(rng), "removed": removed}, must_fail=True)


# Adapters.


@cache
def _adapter_weights() -> bytes:
    header = {
        "base_model.model.x.lora_A.weight": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]},
    }
    return _packed(header, bytes(4))


@kind("adapter.lost", load)
def lost(rng: Random, number: int) -> Attempt:
    """`use_lora` without an adapter, with half of one, or with a pickle."""
    tree = {**_short_config(), "use_lora": True}
    files = {"config.json": json.dumps(tree).encode()}
    settings = json.dumps(ADAPTER).encode()
    more: tuple[dict[str, bytes], ...] = (
        {},
        {"adapter/adapter_config.json": settings},
        {"adapter/adapter_config.json": settings, "adapter/adapter_model.bin": b"cos\nsystem\n(S'true'\ntR."},
        {"adapter/adapter_model.safetensors": _adapter_weights()},
        {"adapter/adapter_config.json": settings, "adapter/adapter_model.safetensors": _adapter_weights()},
        {"adapter/adapter_config.json": settings, "adapter/adapter_model.safetensors": POINTER},
    )
    return Attempt(files | more[number % len(more)], {"how": number % 4}, must_fail=True)


@kind("adapter.config", load, weight=2)
def adapter(rng: Random, number: int) -> Attempt:
    """Changed adapter_config.json: modules of other names, patterns that do not end, ranks, other methods."""
    slow = rng.choice(("(a+)+$", "(.*)*x", "(" * 2000, "([a-z_.]+)+!", ".*"))
    changes: tuple[dict[str, Any], ...] = (
        {"megatron_config": {"a": 1}, "megatron_core": "evilmod"},
        {"target_modules": slow},
        {"exclude_modules": slow},
        {"rank_pattern": {slow: 4}},
        {"alpha_pattern": {slow: 4}},
        {"layers_pattern": slow, "layers_to_transform": [0]},
        {"r": 10**6},
        {"r": rng.choice(NUMBERS)},
        {"peft_type": rng.choice(("IA3", "PREFIX_TUNING", "X_LORA", "nothing", 5))},
        {"auto_mapping": {"base_model_class": "C", "parent_library": "evilmod"}},
        {"init_lora_weights": rng.choice(("eva", "pissa", "loftq", "corda"))},
        {"base_model_name_or_path": "/dev/zero", "revision": 5},
    )
    tree: Any = {**ADAPTER, **changes[number % len(changes)]}
    if rng.random() < 0.3:
        tree = mutate_tree(rng, ADAPTER)
    files = {
        "config.json": json.dumps({**_short_config(), "use_lora": True}).encode(),
        "adapter/adapter_config.json": json_bytes(rng, tree),
        "adapter/adapter_model.safetensors": _adapter_weights(),
        "evilmod.py": CODE,
    }
    return Attempt(files, {"how": rng.choice((0, 0, 1, 2))})


# Code in the folder. The worker's stdin answers "y" to every question.


@kind("model.code", load, weight=2)
def code(rng: Random, number: int) -> Attempt:
    """All places where a folder can name code of its own."""
    names = ("AutoConfig", "AutoModel", "AutoModelForImageTextToText", "AutoProcessor", "AutoImageProcessor")
    auto_map: dict[str, Any] = {name: "evil.C" for name in names} | {"AutoTokenizer": ["evil.C", "evil.C"]}
    tree, processor = _short_config(), json.loads(json.dumps(original("processor_config.json")))
    settings = dict(original("tokenizer_config.json"))
    what = number % 12
    if what == 0:
        tree["auto_map"] = auto_map
    elif what == 1:
        processor["auto_map"] = auto_map
    elif what == 2:
        settings["auto_map"] = auto_map
    elif what == 3:
        settings |= {"auto_map": auto_map, "tokenizer_class": "C"}
    elif what == 4:
        inner = processor.setdefault("image_processor", {})
        inner |= {"auto_map": auto_map, "image_processor_type": "C"}
    elif what == 5:
        tree["vision_config"] = {"model_type": "evil", "auto_map": auto_map}
    elif what == 6:
        tree["text_config"] = {"model_type": "evil", "auto_map": auto_map}
    elif what == 7:
        tree["vision_config"] = {"model_name": "."}
    elif what == 8:
        tree["vision_config"] = "."
    elif what == 9:
        tree |= {"model_type": "evil", "auto_map": auto_map}
    elif what == 10:
        processor |= {"processor_class": "C", "auto_map": auto_map}
    files = {"config.json": tree, "processor_config.json": processor, "tokenizer_config.json": settings}
    written = {name: json.dumps(content).encode() for name, content in files.items()}
    modules = {"evil.py": CODE, "custom_generate/generate.py": CODE, "modeling_panollava.py": CODE, "torch.py": CODE}
    return Attempt(written | modules, {"how": number // 12 % 4})
