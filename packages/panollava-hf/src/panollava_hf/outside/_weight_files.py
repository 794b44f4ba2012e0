"""The weights in a checkpoint folder: which files hold them, and whether these are whole, from their headers alone."""

import json
import secrets
import stat
import struct
from collections.abc import Container, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from panollava_hf._errors import CheckpointError, ModelError, boundary
from panollava_hf._shown import listed, shown
from panollava_hf.outside._archive import read_archive
from panollava_hf.outside._json_file import AGAIN, TOKENIZER_BYTES, read_object, require_file
from panollava_hf.outside._pickle_scan import scan_old_format, scan_pickle

#: Files that transformers loads weights from, in the order in which it looks for them.
NAMES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
#: What transformers reports about weights that were loaded.
KINDS = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
#: Longest name of a file, and most tensors in one. A model of 256 experts in 60 layers has 50,000.
MAX_NAME, MAX_TENSORS = 200, 100_000
#: Types of weights that are floating-point numbers, by the first letter of their names in a safetensors file.
FLOATS = ("F", "BF")
#: Beginning of a zip archive.
ZIP_MARK = b"PK\x03\x04"
#: Longest header that the safetensors library reads.
MAX_HEADER = 100_000_000


def check_weights(folder: Path) -> None:
    """Check that a folder holds weights and that each of their files is whole.

    Raises:
        ModelError: There are none, one is missing, cut off, a Git LFS pointer or outside of the folder.
    """
    for path in weight_files(folder):
        require_file(path)
        if path.suffix == ".safetensors":
            read_header(path)
        else:
            _scan(path)


def _scan(path: Path) -> None:
    """Check a file of torch.save: its reader runs no code, but a small file can take all memory or crash it."""
    with path.open("rb") as stream:
        is_archive = stream.read(4) == ZIP_MARK
    try:
        if is_archive:
            archive = read_archive(path)
            scan_pickle(archive.pickle, archive.storages)
        else:
            scan_old_format(path)
    except CheckpointError as error:
        raise ModelError(f"{path}: the weights cannot be read: {error}") from error


def weight_files(folder: Path) -> list[Path]:
    """The files that the weights of a checkpoint folder are loaded from.

    Raises:
        ModelError: There are none, or the index names files that are missing or outside of the folder.
    """
    found = next((folder / name for name in NAMES if (folder / name).exists()), None)
    if found is None:
        raise ModelError(f"{folder}: there are no weights in this folder; expected model.safetensors")
    if found.suffix != ".json":
        return [found]
    names = read_object(found, TOKENIZER_BYTES).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ModelError(f"{found}: its weight_map does not name the files of the weights; use the original file")
    files = sorted(set(names.values()))
    for name in files:
        if (
            len(name) > MAX_NAME
            or PurePosixPath(name).is_absolute()
            or ".." in PurePosixPath(name).parts
            or "\\" in name
        ):
            raise ModelError(f"{found}: it names the file {shown(name)}, which is not in this folder; use the original")
    missing = [name for name in files if not (folder / name).exists()]
    if missing:
        raise ModelError(
            f"{folder}: {len(missing)} of {len(files)} files of the weights are missing, first {shown(missing[0])}; "
            "copy or download them"
        )
    return [folder / name for name in files]


def require_whole(name: str | Path, info: Mapping[str, Any], *, fresh: Iterable[str] = (), extra: bool = False) -> None:
    """Check what `from_pretrained(…, output_loading_info=True)` reports: nothing may be left with random values.

    Args:
        name: The model, for messages.
        info: The report.
        fresh: Beginnings of weight names that are not loaded, because they are to be trained from the start.
        extra: Whether the files may hold weights that the model does not have.

    Raises:
        ModelError: Weights are missing, unexpected or of another shape.

    Example:
        >>> require_whole("my-model", {"missing_keys": {"head.weight"}}, fresh=["head."])
    """
    begins = tuple(fresh)
    # A weight of another shape is (name, stored shape, expected shape).
    texts = {kind: [_key_text(key) for key in info.get(kind) or ()] for kind in KINDS}
    for kind in ("missing_keys", "unexpected_keys"):
        texts[kind] = [text for text in texts[kind] if not text.startswith(begins)]
    if extra:
        texts["unexpected_keys"] = []
    cut = {kind: [key[:160] for key in sorted(keys)] for kind, keys in texts.items() if keys}
    found = [f"{kind.replace('_', ' ')}: {listed(keys, 3)}" for kind, keys in cut.items()]
    if found:
        raise ModelError(
            f"the weights of {name} do not fit its config: {'; '.join(found)}; use the config.json that was saved with "
            "these weights, or copy or download the folder again"
        )


def _key_text(key: Any) -> str:
    if isinstance(key, str):
        return key
    name, stored, expected = key
    return f"{name} is {tuple(stored)}, expected {tuple(expected)}"


def read_header(path: Path) -> dict[str, Any]:
    """The entries of a safetensors file by name: `dtype`, `shape` and `data_offsets`.

    Raises:
        ModelError: It is cut off, longer than its header says, or not a safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if size < 8 or (length <= MAX_HEADER and 8 + length > size):
            raise ModelError(f"{path}: the weights are cut off after {size:,} bytes; {AGAIN}")
        if not 2 <= length <= MAX_HEADER:
            raise ModelError(f"{path}: this is not a safetensors file; {AGAIN}")
        header = stream.read(length)
    with boundary(ModelError, f"{path}: the header of the weights is damaged", AGAIN):
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        expected = 8 + length + int(end)
        if len(entries) > MAX_TENSORS:
            raise ValueError(f"{len(entries)} tensors")
        for entry in entries.values():
            if not all(type(side) is int and side >= 0 for side in entry["shape"]):
                raise ValueError("negative sizes")
    if size != expected:
        cut = "are cut off" if size < expected else "do not end where they should"
        raise ModelError(f"{path}: the weights {cut}: {size:,} bytes, expected {expected:,}; {AGAIN}")
    return dict(entries)


def follow_umask(files: Iterable[Path]) -> None:
    """Give files the permissions of new files under the current umask; safetensors writes for the owner alone."""
    mode = None
    for file in files:
        if mode is None:
            probe = file.with_name(f".{secrets.token_hex(8)}")  # `os.umask` would change it for other threads
            probe.touch(exist_ok=False)
            mode = stat.S_IMODE(probe.stat().st_mode)
            probe.unlink()
        file.chmod(mode)


def require_floats(path: Path, entries: Mapping[str, Mapping[str, Any]], names: Container[str] | None = None) -> None:
    """Check that weights are stored as floating-point numbers: transformers casts anything else without a word.

    Args:
        path: The safetensors file.
        entries: Its header.
        names: The weights to check; default: all.

    Raises:
        ModelError: A weight is stored as whole, complex or truth values.
    """
    for name, entry in entries.items():
        kind = str(entry.get("dtype"))
        if (names is None or name in names) and not kind.startswith(FLOATS):
            raise ModelError(
                f"{path}: the weight {name[:160]} is stored as {kind[:20]}, expected floating-point numbers; "
                "copy or download the file again"
            )
