"""Open a Lightning checkpoint without running anything in it and without copying its tensors into memory."""

import mmap
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._unpickle import DataUnpickler, Skipped, holds_skipped


@dataclass(frozen=True)
class Checkpoint:
    """What a Lightning checkpoint holds, as plain data.

    Attributes:
        path: The file.
        tensors: Its `state_dict`; the tensors are windows on the file.
        hyper_parameters: Plain values only.
        others: Its other entries (optimiser, callbacks, loops), which are not needed.
        skipped: Notes on objects that were not read, with their classes.
        map: The memory map behind the tensors.
    """

    path: Path
    tensors: dict[str, Tensor]
    hyper_parameters: dict[str, Any]
    others: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    map: mmap.mmap | None = field(default=None, repr=False)

    def release(self) -> None:
        """Give the memory of what has been read of the file back; it is read again when it is needed again."""
        if self.map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.map.madvise(mmap.MADV_DONTNEED)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a Lightning checkpoint.

    Pickled code never runs: objects of classes outside a short list of plain data are left out, and named in `skipped`.

    Args:
        path: A `.ckpt` file as `torch.save` writes it (a zip archive).

    Raises:
        CheckpointError: No such file, no Lightning checkpoint, damaged, or tensors that only foreign code could build.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(
            f"{path} is a folder: a sharded (DeepSpeed) checkpoint must first be merged into one file, with "
            "Lightning's convert_zero_checkpoint_to_fp32_state_dict"
        )
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    with path.open("rb") as stream:
        start = stream.read(2)
    if start != b"PK":
        raise CheckpointError(
            f"{path} is no Lightning checkpoint: expected the zip archive that torch.save writes since PyTorch 1.6"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            found, unpickler, memory = _unpickle(path, archive)
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is damaged or was cut off while it was copied ({error})") from error
    return replace(_checked(path, found, unpickler.skipped), map=memory)


def _unpickle(path: Path, archive: zipfile.ZipFile) -> tuple[Any, DataUnpickler, mmap.mmap | None]:
    names = archive.namelist()
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise CheckpointError(f"{path} is a zip archive without the data.pkl of a PyTorch checkpoint")
    root = roots[0]
    if root + "byteorder" in names and archive.read(root + "byteorder") != b"little":
        raise CheckpointError(f"{path} was written on a big-endian machine: load and save it there with torch first")
    records = _Records(path, archive, root)
    info = archive.getinfo(root + "data.pkl")
    if info.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(f"{path}: data.pkl is compressed, which torch.save never does")
    with archive.open(info) as stream:
        unpickler = DataUnpickler(stream, records.storage)
        try:
            return unpickler.load(), unpickler, records.map
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        # Whatever a malformed pickle makes the standard library raise; the file is not to be trusted to choose.
        except Exception as error:
            raise CheckpointError(f"{path}: data.pkl is no pickle that torch.save wrote ({error})") from error


class _Records:
    """The storages of an archive as windows on one private memory map."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, root: str) -> None:
        self._path, self._archive, self._root = path, archive, root
        self.map: mmap.mmap | None = None
        self._found: dict[str, Tensor] = {}

    def storage(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        record = self._found.get(key)
        if record is None:
            record = self._found[key] = self._window(key)
        if record.numel() < count * dtype.itemsize:
            raise CheckpointError(
                f"storage {key} has {record.numel()} bytes, expected {count * dtype.itemsize}: the file is damaged"
            )
        if record.data_ptr() % dtype.itemsize:  # written by something other than torch.save
            record = record.clone()
        return record[: count * dtype.itemsize].view(dtype)

    def _window(self, key: str) -> Tensor:
        try:
            info = self._archive.getinfo(f"{self._root}data/{key}")
        except KeyError as error:
            raise CheckpointError(f"storage {key!r} is not in the archive: the file is damaged") from error
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise CheckpointError(f"storage {key} is compressed, which torch.save never does")
        size = self._path.stat().st_size
        with self._path.open("rb") as stream:
            stream.seek(info.header_offset)
            header = stream.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise CheckpointError(f"storage {key} has no header: the file is damaged")
        start = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
        if start + info.file_size > size:
            raise CheckpointError(f"storage {key} ends after the file: it was cut off while it was copied")
        if info.file_size == 0:
            return torch.empty(0, dtype=torch.uint8)
        if self.map is None:
            with self._path.open("rb") as stream:
                # A private map: what is written to it (nothing, today) would never reach the file.
                self.map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        return torch.frombuffer(self.map, dtype=torch.uint8, count=info.file_size, offset=start)


def _checked(path: Path, found: Any, unread: list[str]) -> Checkpoint:
    if isinstance(found, Skipped):
        raise CheckpointError(
            f"{path} holds a pickled {found.origin}, which is not read; expected a Lightning checkpoint"
        )
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{path} holds a {type(found).__name__}, expected the dictionary of a Lightning checkpoint"
        )
    state = found.get("state_dict")
    if isinstance(state, Skipped):
        raise CheckpointError(f"{path}: state_dict is a pickled {state.origin}, which is not read")
    if not isinstance(state, dict):
        held = ", ".join(sorted(str(key) for key in found)[:8]) or "nothing"
        raise CheckpointError(f"{path} has no state_dict, so it is no Lightning checkpoint; it holds {held}")
    notes: list[str] = []
    tensors = {}
    for key, value in state.items():
        if isinstance(value, Tensor):
            tensors[str(key)] = value
            continue
        origin = holds_skipped(value)
        what = f"a pickled {origin}, which only foreign code could build" if origin else f"a {type(value).__name__}"
        raise CheckpointError(f"{path}: state_dict[{str(key)!r}] is {what}; expected a tensor. The file is refused")
    parameters = found.get("hyper_parameters", {})
    origin = holds_skipped(parameters) if not isinstance(parameters, Mapping) else None
    if origin:
        notes.append(f"hyper_parameters: skipped, a pickled {origin}")
    plain = {}
    for key, value in parameters.items() if isinstance(parameters, Mapping) else ():
        origin = holds_skipped((key, value))
        if origin:
            notes.append(f"hyper_parameters[{key if isinstance(key, str) else '?'!r}]: skipped, holds a {origin}")
        else:
            plain[str(key)] = value
    others = {key if isinstance(key, str) else "?" for key in found} - {"state_dict", "hyper_parameters"}
    told = " ".join(notes)
    notes += [f"{name}: named in the file, neither imported nor built" for name in unread if name not in told]
    return Checkpoint(path, tensors, plain, tuple(sorted(others)), tuple(notes))
