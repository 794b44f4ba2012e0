"""Read a Lightning checkpoint with PyTorch's `weights_only` reader, which runs no code that a file names.

Checkpoints often contain objects of other packages: paths, omegaconf settings, callbacks. PyTorch refuses such files,
so each name that it does not allow is replaced with a stand-in that accepts any arguments and does nothing; no module
is imported for it. Of the names that PyTorch does allow, only those of plain tensors and plain data are accepted.
https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only
"""

import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals, get_unsafe_globals_in_checkpoint

from panollava_hf._errors import CheckpointError

#: What PyTorch may build by its own rules. It also allows sparse, quantised and nested tensors, and `bytearray`, which
#: can ask for any amount of memory.
PLAIN_NAMES = {
    *("collections.OrderedDict", "collections.Counter", "builtins.set", "builtins.complex", "_codecs.encode"),
    *("torch.Size", "torch.device", "torch.nn.parameter.Parameter", "torch._utils._rebuild_parameter"),
    *("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3"),
    *(f"torch.{kind}Storage" for kind in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char")),
    *("torch.ByteStorage", "torch.BoolStorage", "torch.ComplexFloatStorage", "torch.ComplexDoubleStorage"),
    "torch.storage.UntypedStorage",
    *(f"torch.{name}" for name, value in vars(torch).items() if isinstance(value, torch.dtype)),
}
#: Pickle protocol of torch.save, unless it is given another one.
PROTOCOL = 2


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a Lightning checkpoint, as plain data.

    Attributes:
        path: The file.
        tensors: Its `state_dict`. The tensors are views of the memory-mapped file.
        hyper_parameters: Its hyper-parameters, plain values only.
        notes: What was not read: objects of other packages, and entries that are not needed.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    hyper_parameters: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a Lightning checkpoint without running code from it and without copying its tensors into memory.

    Args:
        path: A `.ckpt` file in the zip format that torch.save writes since PyTorch 1.6.

    Raises:
        CheckpointError: The file does not exist, is damaged or is not a Lightning checkpoint; or PyTorch's safe reader
            refuses it.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(
            f"{path} is a folder: merge a sharded (DeepSpeed) checkpoint into one file first, with Lightning's "
            "convert_zero_checkpoint_to_fp32_state_dict"
        )
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        data, sizes = _check_archive(path)
        names = _names_in_pickle(data)
        with _stand_ins(path, names):
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return _checked(path, found, names, sizes)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error.__cause__
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is damaged or was cut off while it was copied: {error}") from error
    except Exception as error:  # a malformed file decides which of many exceptions PyTorch raises
        paragraphs = str(error).split("\n\n")
        reason = paragraphs[-2] if len(paragraphs) > 1 else paragraphs[0]
        raise CheckpointError(
            f"{path}: PyTorch's safe reader refuses this file ({' '.join(reason.split())[:300]}). If you trust its "
            "source, load it with torch.load(path, weights_only=False) and save a new file that has nothing but "
            "state_dict and plain hyper_parameters"
        ) from error


def _check_archive(path: Path) -> tuple[bytes, Counter[int]]:
    """Check the zip archive, and return the pickle and the sizes in bytes of the stored tensors."""
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            raise CheckpointError(
                "not a Lightning checkpoint; expected the zip archive that torch.save writes since PyTorch 1.6. Load "
                "an older file with torch and save it again"
            )
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        roots = [
            name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl") and name.count("/") == 1
        ]
        if len(roots) != 1 or len({name.casefold() for name in entries}) != len(archive.infolist()):
            raise CheckpointError("a zip archive without the data.pkl of a PyTorch checkpoint")
        for name, entry in entries.items():
            # torch maps the file, so it would read compressed bytes as numbers.
            if entry.compress_type or entry.compress_size != entry.file_size or entry.flag_bits & 1:
                raise CheckpointError(f"{name} is compressed or encrypted, which torch.save never does")
        order = entries.get(f"{roots[0]}byteorder")
        if order is not None and archive.read(order) != b"little":
            raise CheckpointError("written on a big-endian machine: load it there with torch and save it again")
        prefix = f"{roots[0]}data/"
        sizes = Counter(entry.file_size for name, entry in entries.items() if name.startswith(prefix))
        return archive.read(f"{roots[0]}data.pkl"), sizes


def _names_in_pickle(data: bytes) -> set[str]:
    """Full names of all classes and functions that a pickle names. Nothing is looked up."""
    names = set()
    for operation, argument, _ in pickletools.genops(data):
        if operation.name == "PROTO" and argument != PROTOCOL:
            raise CheckpointError(
                f"saved with pickle protocol {argument}, expected {PROTOCOL}: load it with torch and save it again "
                "with torch.save(checkpoint, path)"
            )
        if operation.name == "GLOBAL":
            module, name = str(argument).split(" ", 1)
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
            names.add(f"{module}.{name}")
    return names


@contextmanager
def _stand_ins(path: Path, names: set[str]) -> Iterator[None]:
    """Let PyTorch's reader build stand-ins, and nothing that other code of this process has allowed it to build."""
    registered = get_safe_globals()
    clear_safe_globals()
    try:
        replaced = set(get_unsafe_globals_in_checkpoint(path))
        if excluded := sorted(names - replaced - PLAIN_NAMES):
            raise CheckpointError(
                f"the file needs {', '.join(excluded[:6])}, which the original model does not; save it again with "
                "dense tensors and plain hyper_parameters"
            )
        add_safe_globals([(stand_in(name), name) for name in replaced])
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(registered)


def _checked(path: Path, found: Any, names: set[str], sizes: Counter[int]) -> Checkpoint:
    """Check that this is a Lightning checkpoint, and separate its plain values from what was not read."""
    # `dict.items(x)` and not `x.items()`: a file can give an OrderedDict attributes of its own.
    top = dict(dict.items(found)) if isinstance(found, dict) else {}
    state = top.get("state_dict")
    if not isinstance(state, dict):
        kind = foreign_object(found) or foreign_object(state) or type(found).__name__
        raise CheckpointError(
            f"not a Lightning checkpoint: got a {kind}, expected a dictionary with a state_dict of tensors; it has "
            f"{', '.join(sorted(filter(_is_text, top))[:8]) or 'no entries'}"
        )
    if not all(map(_is_text, state)):
        raise CheckpointError("the state_dict has keys that are not text; expected the names of tensors")
    tensors = {key: _plain_tensor(key, value) for key, value in dict.items(state)}
    storages = {storage.data_ptr(): storage.nbytes() for storage in map(Tensor.untyped_storage, tensors.values())}
    if Counter(storages.values()) - sizes:
        raise CheckpointError("damaged: the stored data does not have the sizes of the tensors")
    parameters, notes = top.get("hyper_parameters", {}), []
    if not isinstance(parameters, dict):
        notes.append(f"hyper_parameters is not read: it is a {foreign_object(parameters) or type(parameters).__name__}")
        parameters = {}
    values = {key: value for key, value in dict.items(parameters) if _is_text(key)}
    foreign = {key: foreign_object(value) for key, value in values.items()}
    notes += [f"hyper_parameters[{key!r}] is not read: it contains a {kind}" for key, kind in foreign.items() if kind]
    unread = sorted(names - PLAIN_NAMES - READ_AS.keys())
    notes += [f"{name}: an object of this type is not read" for name in unread if name not in " ".join(notes)]
    others = sorted(set(filter(_is_text, top)) - {"state_dict", "hyper_parameters"})
    notes += [f"not needed, left out: {', '.join(others)}"] if others else []
    return Checkpoint(path, tensors, {k: v for k, v in values.items() if not foreign[k]}, tuple(notes))


def _is_text(key: Any) -> bool:
    return isinstance(key, str)


def _plain_tensor(key: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        kind = foreign_object(value) or type(value).__name__
        raise CheckpointError(
            f"state_dict[{key!r}] is a {kind}, expected a tensor; remove it with torch and save again"
        )
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise CheckpointError(
            f"state_dict[{key!r}] has shape {tuple(value.shape)}, more than the file stores for it; save it again with "
            ".contiguous()"
        )
    return value.detach()


#: Most items in one hyper-parameter; a larger or cyclic value is not a setting.
MOST_ITEMS = 10_000


class Skipped:
    """Replaces an object that is not read: it accepts everything and keeps nothing."""

    origin = "an unknown class"

    def __new__(cls, *arguments: Any, **named: Any) -> "Skipped":
        """Accept any arguments."""
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Namespace(dict[str, Any]):
    """`argparse.Namespace` read as a dictionary."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update(state)


def _path(*parts: Any) -> str:
    return "/".join(filter(_is_text, parts))


#: Classes of plain data, by what they are read as.
READ_AS: dict[str, Callable[..., Any]] = {
    "argparse.Namespace": _Namespace,
    "collections.defaultdict": lambda *arguments: {},
    "collections.deque": lambda *arguments: [],
    "builtins.frozenset": frozenset,
    "builtins.dict": dict,
    "builtins.list": list,
    "builtins.tuple": tuple,
    "pytorch_lightning.utilities.parsing.AttributeDict": dict,
    "lightning_fabric.utilities.data.AttributeDict": dict,
    "lightning.fabric.utilities.data.AttributeDict": dict,
    "lightning.pytorch.utilities.parsing.AttributeDict": dict,
    **{
        f"{module}.{name}": _path
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
    },
}


def stand_in(name: str) -> Callable[..., Any]:
    """What the reader calls in place of the class or function of this full name."""
    module, _, kind = name.rpartition(".")
    return READ_AS.get(name) or type(kind, (Skipped,), {"origin": name, "__module__": module, "__slots__": ()})


def foreign_object(value: Any) -> str | None:
    """Name of the class of an object inside plain data that was not read, or None if there is none."""
    todo, count = [value], 0
    while todo:
        item = todo.pop()
        count += 1
        if isinstance(item, Skipped) or (isinstance(item, type) and issubclass(item, Skipped)):
            return item.origin
        if count > MOST_ITEMS:
            return f"value of more than {MOST_ITEMS} items"
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            todo += list(item)
    return None
