"""Read a Lightning checkpoint with PyTorch's `weights_only` reader, which runs no code that a file names.

Checkpoints often contain objects of other packages: paths, omegaconf settings, callbacks. PyTorch refuses such files,
so each name that it does not allow is replaced with a stand-in that accepts any arguments and does nothing; no module
is imported for it. Of the names that PyTorch does allow, only those of plain tensors and plain data are accepted.
https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals, get_unsafe_globals_in_checkpoint

from panollava_hf._errors import CheckpointError
from panollava_hf._shown import shortened, shown
from panollava_hf.conversion._other_formats import refuse_other_formats
from panollava_hf.conversion._values import is_plain_text
from panollava_hf.outside._archive import Archive, read_archive
from panollava_hf.outside._pickle_scan import ATTRIBUTE_DICTS, PATHS, STORAGES, scan_pickle

#: What PyTorch may build by its own rules. It also allows sparse, quantised and nested tensors, and `bytearray`, which
#: can ask for any amount of memory.
PLAIN_NAMES = {
    *("collections.OrderedDict", "collections.Counter", "builtins.set", "builtins.complex", "_codecs.encode"),
    *("torch.Size", "torch.device", "torch.nn.parameter.Parameter", "torch._utils._rebuild_parameter"),
    *("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3"),
    *STORAGES,
    *(f"torch.{name}" for name, value in vars(torch).items() if isinstance(value, torch.dtype)),
}
#: Most notes about objects that are not read.
MAX_NOTES = 20
#: Longest name of a tensor.
MAX_KEY = 512
#: How many times the bytes of the file its tensors may have together: several can share what is stored once.
MAX_SHARING = 16


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
        CheckpointError: The file does not exist, is damaged or is not a Lightning checkpoint; it would need too much
            memory or time; or PyTorch's safe reader refuses it.
    """
    path = Path(path)
    refuse_other_formats(path)
    try:
        archive = read_archive(path)
        names = scan_pickle(archive.pickle, archive.storages)
        found = _load(path, names)
        return _checked(path, found, names, archive)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error.__cause__


def _load(path: Path, names: set[str]) -> Any:
    """What PyTorch's safe reader reads."""
    try:
        with _stand_ins(path, names):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except CheckpointError:
        raise
    except Exception as error:  # a malformed file decides which of many exceptions PyTorch raises
        paragraphs = str(error)[:5000].split("\n\n")
        reason = paragraphs[-2] if len(paragraphs) > 1 else paragraphs[0]
        raise CheckpointError(
            f"PyTorch's safe reader refuses this file ({' '.join(reason.split())[:300]}). If you trust its "
            "source, load it with torch.load(path, weights_only=False) and save a new file that has nothing but "
            "state_dict and plain hyper_parameters"
        ) from error


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


def _checked(path: Path, found: Any, names: set[str], archive: Archive) -> Checkpoint:
    """Check that this is a Lightning checkpoint, and separate its plain values from what was not read."""
    # `dict.items(x)` and not `x.items()`: a file can give an OrderedDict attributes of its own.
    top = {k: v for k, v in dict.items(found) if is_plain_text(k, MAX_KEY)} if isinstance(found, dict) else {}
    state = top.get("state_dict")
    if not isinstance(state, dict):
        kind = foreign_object(found) or foreign_object(state) or type(found).__name__
        raise CheckpointError(
            f"not a Lightning checkpoint: got a {kind}, expected a dictionary with a state_dict of tensors; it has "
            f"{', '.join(shortened(name, 80) for name in sorted(top)[:8]) or 'no entries'}"
        )
    for key in dict.keys(state):
        if not is_plain_text(key, MAX_KEY):
            raise CheckpointError(f"the state_dict has the key {shown(key)}; expected the names of tensors")
    if not state:
        raise CheckpointError("the state_dict is empty; give the checkpoint that Lightning wrote")
    tensors = {key: _plain_tensor(key, value) for key, value in dict.items(state)}
    _check_storages(tensors, archive)
    parameters, notes = top.get("hyper_parameters", {}), []
    if not isinstance(parameters, dict):
        notes.append(f"hyper_parameters is not read: it is a {foreign_object(parameters) or type(parameters).__name__}")
        parameters = {}
    values = {key: value for key, value in dict.items(parameters) if is_plain_text(key, MAX_KEY)}
    if len(values) < len(parameters):
        notes.append(f"{len(parameters) - len(values)} hyper_parameters are not read: their keys are not names")
    foreign = {key: foreign_object(value) for key, value in values.items()}
    unread = [
        f"hyper_parameters[{shown(key)}] is not read: it contains a {kind}" for key, kind in foreign.items() if kind
    ]
    notes += _first(unread)
    listed = " ".join(notes)
    others = sorted(name for name in names - PLAIN_NAMES - READ_AS.keys() if name not in listed)
    notes += _first([f"{name}: an object of this type is not read" for name in others])
    left_out = sorted(set(top) - {"state_dict", "hyper_parameters"})
    left = ", ".join(shortened(name, 80) for name in left_out[:MAX_NOTES])
    notes += [f"not needed, left out: {left}"] if left_out else []
    return Checkpoint(path, tensors, {k: v for k, v in values.items() if not foreign[k]}, tuple(notes))


def _first(notes: list[str]) -> list[str]:
    """The first notes, and how many more there are."""
    more = len(notes) - MAX_NOTES
    return notes if more <= 0 else [*notes[:MAX_NOTES], f"and {more} more objects that are not read"]


def _plain_tensor(key: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        kind = foreign_object(value) or type(value).__name__
        raise CheckpointError(
            f"state_dict[{shown(key)}] is a {kind}, expected a tensor; remove it with torch and save again"
        )
    size = _elements(value.shape) * value.element_size()
    if size > value.untyped_storage().nbytes():
        raise CheckpointError(
            f"state_dict[{shown(key)}] has shape {shown(tuple(value.shape))}, more than the file stores for it; save "
            "it again with .contiguous()"
        )
    if value.is_complex():
        raise CheckpointError(f"state_dict[{shown(key)}] has complex numbers, which the original model does not")
    return value.detach()


def _elements(shape: Iterable[int]) -> int:
    # `Tensor.numel` overflows.
    return math.prod(shape)


def _check_storages(tensors: Mapping[str, Tensor], archive: Archive) -> None:
    """Check that the file stores what the tensors need."""
    storages = {storage.data_ptr(): storage.nbytes() for storage in map(Tensor.untyped_storage, tensors.values())}
    if Counter(storages.values()) - Counter(archive.storages.values()):
        raise CheckpointError("damaged: the stored data does not have the sizes of the tensors")
    size = sum(_elements(tensor.shape) * tensor.element_size() for tensor in tensors.values())
    if size > MAX_SHARING * archive.size:
        raise CheckpointError(
            f"its tensors have {size:,} bytes together, but the file has {archive.size:,}: too many share the same "
            "data; save it again with .clone()"
        )


#: Most items, and deepest nesting, of one hyper-parameter; a larger, deeper or cyclic value is not a setting.
MAX_ITEMS, MAX_LEVELS = 10_000, 50


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
    return "/".join(part for part in parts if isinstance(part, str))


#: Classes of plain data, by what they are read as.
READ_AS: dict[str, Callable[..., Any]] = {
    "argparse.Namespace": _Namespace,
    "collections.defaultdict": lambda *arguments: {},
    "collections.deque": lambda *arguments: [],
    "builtins.frozenset": frozenset,
    "builtins.dict": dict,
    "builtins.list": list,
    "builtins.tuple": tuple,
    **dict.fromkeys(ATTRIBUTE_DICTS, dict),
    **dict.fromkeys(PATHS, _path),
}


def stand_in(name: str) -> Callable[..., Any]:
    """What the reader calls in place of the class or function of this full name."""
    module, _, kind = name.rpartition(".")
    return READ_AS.get(name) or type(kind, (Skipped,), {"origin": name, "__module__": module, "__slots__": ()})


def foreign_object(value: Any) -> str | None:
    """Name of the class of an object inside plain data that was not read, or None if there is none."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    count = 0
    while todo:
        item, level = todo.pop()
        count += 1
        if isinstance(item, Skipped) or (isinstance(item, type) and issubclass(item, Skipped)):
            return item.origin
        if count > MAX_ITEMS:
            return f"value of more than {MAX_ITEMS} items"
        if level > MAX_LEVELS:
            return f"value of more than {MAX_LEVELS} levels"
        if isinstance(item, dict):
            todo += [(inner, level + 1) for pair in dict.items(item) for inner in pair]
        elif isinstance(item, list | tuple | set | frozenset):
            todo += [(inner, level + 1) for inner in item]
    return None
