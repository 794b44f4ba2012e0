"""A reader of pickles that runs nothing: it builds plain data and tensors, and leaves everything else out by name.

`pickle` builds an object by calling what `find_class` returns for a name in the file. Here that is one of a handful of
harmless makers, or a `Skipped` class that takes any arguments and keeps none. No module is ever imported for a name, so
code that a file names is never reached. Makers and stand-ins are made anew for each file, so nothing that one file does
to them outlives it.
"""

import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import IO, Any

import torch
from torch import Tensor

from panollava_hf._errors import CheckpointError

STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
#: Builtins that cannot be asked for more memory than the file itself holds.
CONTAINERS = {"set": set, "frozenset": frozenset, "dict": dict, "list": list, "tuple": tuple, "complex": complex}
#: Dictionaries of other packages, read as dictionaries.
DICTIONARIES = {
    ("pytorch_lightning.utilities.parsing", "AttributeDict"),
    ("lightning_fabric.utilities.data", "AttributeDict"),
    ("lightning.fabric.utilities.data", "AttributeDict"),
    ("lightning.pytorch.utilities.parsing", "AttributeDict"),
}
PATHS = {"PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath", "Path", "PurePath"}


class Skipped:
    """Stands where the file has an object of a class that is not read; it holds nothing."""

    origin = "an unknown class"

    def __new__(cls, *arguments: Any, **named: Any) -> "Skipped":
        """Take what the file passes and keep nothing of it."""
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **named: Any) -> "Skipped":
        """Results of skipped objects are skipped."""
        return self

    def append(self, item: Any) -> None:
        """Lists of other classes are filled this way; nothing is kept."""

    def extend(self, items: Any) -> None:
        """As `append`."""

    def add(self, item: Any) -> None:
        """As `append`, for sets."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class _Namespace(dict[str, Any]):
    """`argparse.Namespace` read as a dictionary."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update(state)


class _StorageType:
    """A typed storage class, of which only the element type matters."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class _Maker:
    """A function that a file may call."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class StorageView:
    """Elements of one storage of the file: a flat tensor and its element type."""

    __slots__ = ("dtype", "flat")

    def __init__(self, flat: Tensor, dtype: torch.dtype) -> None:
        self.flat, self.dtype = flat, dtype


def _strided(flat: Tensor, offset: Any, size: Any, stride: Any) -> Tensor:
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
        raise CheckpointError(
            f"a tensor has size {tuple(size)}, stride {tuple(stride)}, offset {offset}: no such tensor"
        )
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= flat.numel():
        raise CheckpointError(
            f"a tensor of size {tuple(size)} reaches element {last} of a storage of {flat.numel()}: the file is damaged"
        )
    return flat.as_strided(tuple(size), tuple(stride), flat.storage_offset() + (0 if 0 in size else offset))


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    if not isinstance(storage, StorageView):
        return storage if isinstance(storage, Skipped) else Skipped()
    return _strided(storage.flat, offset, size, stride)


def _rebuild_tensor_v3(storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, *rest: Any) -> Any:
    if not isinstance(storage, StorageView) or not rest or not isinstance(rest[0], torch.dtype):
        return Skipped()
    return _strided(storage.flat.view(rest[0]), offset, size, stride)


def _rebuild_parameter(data: Any, *rest: Any) -> Any:
    return data


def _bytes(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise CheckpointError(f"bytes written as {encoding!r} are not read")
    return text.encode("latin-1")


def _path(*parts: Any) -> str:
    return "/".join(str(part) for part in parts if isinstance(part, str))


def _default_dict(*arguments: Any) -> defaultdict[Any, Any]:
    return defaultdict(None)


class DataUnpickler(pickle.Unpickler):
    """Reads plain data and tensors; what else the file holds becomes `Skipped`.

    Args:
        stream: The pickle.
        storage: Finds a storage of the file: `(key, dtype, number of elements)` → flat tensor.
    """

    def __init__(self, stream: IO[bytes], storage: Callable[[str, torch.dtype, int], Tensor]) -> None:
        super().__init__(stream, encoding="utf-8")
        self._storage = storage
        self._skipped: dict[str, type[Skipped]] = {}
        self._namespace = type("Namespace", (_Namespace,), {})

    @property
    def skipped(self) -> list[str]:
        """Names of classes and functions that the file asks for and that were not looked up."""
        return sorted(self._skipped)

    def find_class(self, module: str, name: str) -> Any:
        """The maker of a harmless thing, or a class that stands for what is not read."""
        found = self._harmless(module, name)
        if found is not None:
            return found
        origin = f"{module}.{name}"
        if origin not in self._skipped:
            self._skipped[origin] = type("Skipped", (Skipped,), {"origin": origin, "__slots__": ()})
        return self._skipped[origin]

    def _harmless(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in STORAGE_DTYPES:
            return _StorageType(STORAGE_DTYPES[name])
        # Not getattr, which imports some modules at their first mention.
        if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):
            return vars(torch)[name]
        if module in ("builtins", "__builtin__") and name in CONTAINERS:
            return CONTAINERS[name]
        if module in ("pathlib", "pathlib._local") and name in PATHS:
            return _Maker(_path)
        if (module, name) in DICTIONARIES:
            return dict
        return {
            ("collections", "OrderedDict"): OrderedDict,
            ("collections", "defaultdict"): _Maker(_default_dict),
            ("argparse", "Namespace"): self._namespace,
            ("torch", "Size"): tuple,
            ("torch", "device"): _Maker(lambda *parts: ":".join(str(part) for part in parts)),
            ("torch._utils", "_rebuild_tensor"): _Maker(_rebuild_tensor),
            ("torch._utils", "_rebuild_tensor_v2"): _Maker(_rebuild_tensor),
            ("torch._utils", "_rebuild_tensor_v3"): _Maker(_rebuild_tensor_v3),
            ("torch._utils", "_rebuild_parameter"): _Maker(_rebuild_parameter),
            ("_codecs", "encode"): _Maker(_bytes),
        }.get((module, name))

    def persistent_load(self, pid: Any) -> Any:
        """A storage of the file: `("storage", type, key, device, number of elements)`."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage"):
            raise CheckpointError(f"the file refers to something that is no tensor storage: {str(pid)[:80]}")
        _, kind, key, _, count = pid
        if not isinstance(kind, _StorageType):
            return Skipped()
        if not isinstance(key, str) or type(count) is not int or count < 0:
            raise CheckpointError(f"the file refers to a storage {str(key)[:40]!r} of {str(count)[:40]} elements")
        return StorageView(self._storage(key, kind.dtype, count), kind.dtype)


def holds_skipped(value: Any) -> str | None:
    """The class name of something skipped inside plain data, or None; cyclic data is no trouble."""
    todo, seen = [value], set()
    while todo:
        item = todo.pop()
        if isinstance(item, Skipped):
            return item.origin
        if isinstance(item, type) and issubclass(item, Skipped):
            return item.origin
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple, set, frozenset)):
            todo += list(item)
    return None
