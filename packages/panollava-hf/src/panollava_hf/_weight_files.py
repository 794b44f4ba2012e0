"""The weights in a checkpoint folder: which files hold them, and whether these are whole, from their headers alone."""

import json
import struct
from pathlib import Path, PurePosixPath
from typing import Any

from panollava_hf._errors import ModelError
from panollava_hf._json_file import TOKENIZER_BYTES, read_object, require_file

#: Files that transformers loads weights from, in the order in which it looks for them.
NAMES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
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
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise ModelError(f"{found}: it names the file {name[:80]!r}, which is not in this folder; use the original")
    missing = [name for name in files if not (folder / name).exists()]
    if missing:
        raise ModelError(
            f"{folder}: {len(missing)} of {len(files)} files of the weights are missing, first {missing[0][:80]!r}; "
            "copy or download them"
        )
    return [folder / name for name in files]


def read_header(path: Path) -> dict[str, Any]:
    """The entries of a safetensors file by name: `dtype`, `shape` and `data_offsets`.

    Raises:
        ModelError: It is cut off, longer than its header says, or not a safetensors file.
    """
    size = path.stat().st_size
    again = "copy or download the file again"
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if size < 8 or (length <= MAX_HEADER and 8 + length > size):
            raise ModelError(f"{path}: the weights are cut off after {size:,} bytes; {again}")
        if not 2 <= length <= MAX_HEADER:
            raise ModelError(f"{path}: this is not a safetensors file; {again}")
        header = stream.read(length)
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        expected = 8 + length + int(end)
        for entry in entries.values():
            if not all(type(side) is int and side >= 0 for side in entry["shape"]):
                raise ValueError("negative sizes")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: the header of the weights is damaged; {again}") from error
    if size != expected:
        cut = "are cut off" if size < expected else "do not end where they should"
        raise ModelError(f"{path}: the weights {cut}: {size:,} bytes, expected {expected:,}; {again}")
    return dict(entries)
