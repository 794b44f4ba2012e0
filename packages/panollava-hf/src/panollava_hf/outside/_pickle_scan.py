"""A pickle followed operation by operation before PyTorch reads it, so that a small file cannot exhaust the machine.

PyTorch's `weights_only` reader runs no code, but it builds whatever a pickle describes. Hashing a tuple of a million
levels crashes Python, and hashing one of sixty levels that share their parts does not end. The scan keeps PyTorch's
stack of values, with containers replaced by records of their depth and size, and refuses what is too deep, too
expensive, or not written by torch.save. It takes about a microsecond per operation.
"""

import re
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from panollava_hf._errors import CheckpointError, one_line
from panollava_hf._shown import shown

#: Pickle protocol of torch.save, unless it is given another one.
PROTOCOL = 2
#: Most operations and distinct names. A checkpoint with optimizer has about 100 operations per weight, and 30 names.
MAX_OPERATIONS, MAX_NAMES = 3_000_000, 1000
#: Most containers and objects: an empty set takes one byte in the file and 216 in memory.
MAX_CONTAINERS = 1_000_000
#: Deepest nesting of values. Checkpoints have about 10 levels.
MAX_DEPTH = 100
#: Most values that are hashed or copied, counting shared parts each time.
MAX_WORK = 5_000_000
#: Most dictionary keys and set items that are tuples or large integers: someone can choose these with equal hashes.
MAX_CHOSEN = 10_000

#: Beginning of a file in the format before PyTorch 1.6, and the most bytes of it that are scanned.
OLD_MAGIC, MAX_PICKLE = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", 2**26
SAVE_PLAIN = "if you trust its source, load it with torch and save only its state_dict and plain hyper_parameters"

#: Bytes of one element of each kind of storage that PyTorch's reader accepts for dense tensors.
STORAGES = {
    **{f"torch.{kind}Storage": 8 for kind in ("Double", "Long", "ComplexFloat")},
    **{f"torch.{kind}Storage": 4 for kind in ("Float", "Int")},
    **{f"torch.{kind}Storage": 2 for kind in ("Half", "BFloat16", "Short")},
    **{f"torch.{kind}Storage": 1 for kind in ("Char", "Byte", "Bool")},
    "torch.ComplexDoubleStorage": 16,
    "torch.storage.UntypedStorage": 1,
}
#: Classes of paths, which are read as texts.
PATHS = {
    f"{module}.{name}"
    for module in ("pathlib", "pathlib._local")
    for name in ("Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
}
#: Lightning's dictionary of hyper-parameters, by where its releases have it.
ATTRIBUTE_DICTS = (
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
)
#: Classes that copy and perhaps hash the items of their arguments, by the kind of container that they make.
CONTAINERS = {
    **dict.fromkeys(("collections.OrderedDict", "collections.Counter", "builtins.dict", "argparse.Namespace"), "dict"),
    **dict.fromkeys(ATTRIBUTE_DICTS, "dict"),
    **dict.fromkeys(("builtins.set", "builtins.frozenset"), "set"),
    **dict.fromkeys(("builtins.tuple", "torch.Size"), "tuple"),
    **dict.fromkeys(("builtins.list", "collections.deque"), "list"),
}
_NAME = re.compile(r"[\w.<> -]{1,300}")


class _Name:
    """A class or function that is named, and not looked up."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _Container:
    """A container or object, without its content.

    Attributes:
        kind: `tuple`, `list`, `dict`, `set`, or the full name of the class.
        depth: Levels of containers inside it.
        leaves: Values inside it, those that several containers share counted each time.
        length: Its items.
        chosen: Its items that are tuples or large integers.
        items: The items of a tuple.
    """

    __slots__ = ("chosen", "depth", "items", "kind", "leaves", "length")

    def __init__(self, kind: str, items: tuple[Any, ...] = ()) -> None:
        self.kind, self.items = kind, items
        self.depth, self.leaves, self.length, self.chosen = 1, 1, 0, 0
        self.add(items)

    def add(self, items: Any) -> None:
        """Count more items."""
        self.length += len(items)
        for item in items:
            if isinstance(item, _Container):
                self.depth = max(self.depth, item.depth + 1)
                self.leaves += item.leaves
                self.chosen += item.kind == "tuple"
            else:
                self.leaves += 1
                self.chosen += isinstance(item, int) and item.bit_length() > 60
        if self.depth > MAX_DEPTH:
            raise CheckpointError(f"its values are nested more than {MAX_DEPTH} levels deep; {SAVE_PLAIN}")
        self.leaves = min(self.leaves, 2 * MAX_WORK)


def scan_pickle(data: bytes, storages: Mapping[str, int]) -> set[str]:
    """Check a checkpoint's pickle, and return the full names of all classes and functions that it names.

    Args:
        data: The pickle.
        storages: Sizes in bytes of the stored tensors, by their key.

    Raises:
        CheckpointError: The pickle is damaged, or describes something that torch.save does not write or that would
            need too much memory or time.
    """
    scan = _Scan(data, storages)
    scan.checked()
    return scan.names


def scan_old_format(path: Path) -> None:
    """Check a file of torch.save's format before PyTorch 1.6: a magic number, a version, the machine, and the pickle.

    Raises:
        CheckpointError: As `scan_pickle`; or the file has another format.
    """
    with path.open("rb") as stream:
        data = stream.read(MAX_PICKLE)
    for part in range(4):
        if part == 0 and not data.startswith(OLD_MAGIC):
            raise CheckpointError(f"this is not a file of torch.save; {SAVE_PLAIN}")
        scan = _Scan(data, {})
        scan.checked()
        data = data[scan.at :]


class _Scan:
    """The state of the scan: PyTorch's stack and memo, and what has been spent."""

    def __init__(self, data: bytes, storages: Mapping[str, int]) -> None:
        self.data, self.at, self.storages = data, 0, storages
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.names: set[str] = set()
        self.work = self.chosen = self.containers = 0

    def checked(self) -> None:
        """`run`, with errors of the pickle as ours."""
        try:
            self.run()
        except (IndexError, KeyError, AttributeError, TypeError, ValueError, struct.error) as error:
            if isinstance(error, CheckpointError):
                raise
            # The operations do not fit together. As in PyTorch's reader, the first that fails says so.
            raise CheckpointError(
                f"its data.pkl is damaged at byte {self.at} ({one_line(error)}); copy the file again"
            ) from error

    def run(self) -> None:
        """Follow the operations to the last one."""
        data = self.data
        for _ in range(MAX_OPERATIONS):
            code = data[self.at]
            self.at += 1
            operation = _OPERATIONS.get(code)
            if operation is None:
                if code == ord(".") and self.stack:
                    return
                raise CheckpointError(
                    f"its data.pkl has the operation {bytes([code])!r}, which torch.save does not write; {SAVE_PLAIN}"
                )
            operation(self)
        raise CheckpointError(f"its data.pkl has more than {MAX_OPERATIONS:,} operations; {SAVE_PLAIN}")

    def number(self, form: str, size: int) -> Any:
        self.at += size
        return struct.unpack_from(form, self.data, self.at - size)[0]

    def bytes(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise ValueError("a text goes beyond its end")
        self.at += size
        return self.data[self.at - size : self.at]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        text = self.data[self.at : min(end, self.at + 1000)].decode()
        self.at = end + 1
        return text

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def spend(self, work: int) -> None:
        self.work += work
        if self.work > MAX_WORK:
            raise CheckpointError(f"its values would need too much time and memory to build; {SAVE_PLAIN}")

    def hashed(self, chosen: int) -> None:
        self.chosen += chosen
        if self.chosen > MAX_CHOSEN:
            raise CheckpointError(f"it has more than {MAX_CHOSEN:,} tuples or large numbers as keys; {SAVE_PLAIN}")

    def made(self, kind: str, items: tuple[Any, ...] = ()) -> _Container:
        self.containers += 1
        if self.containers > MAX_CONTAINERS:
            raise CheckpointError(f"its data.pkl makes more than {MAX_CONTAINERS:,} containers; {SAVE_PLAIN}")
        return _Container(kind, items)

    # One method for each operation that changes more than the top of the stack.

    def protocol(self) -> None:
        found = self.number("B", 1)
        if found != PROTOCOL:
            raise CheckpointError(
                f"saved with pickle protocol {found}, expected {PROTOCOL}: load it with torch and save it again with "
                "torch.save(checkpoint, path)"
            )

    def name(self) -> None:
        module, name = self.line(), self.line()
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        full = f"{module}.{name}"
        if not _NAME.fullmatch(full):
            raise CheckpointError(f"it names {shown(full)}, which cannot be a class or function; {SAVE_PLAIN}")
        self.names.add(full)
        if len(self.names) > MAX_NAMES:
            raise CheckpointError(f"it names more than {MAX_NAMES:,} classes and functions; {SAVE_PLAIN}")
        self.stack.append(_Name(full))

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, _Container) or arguments.kind != "tuple":
            raise CheckpointError(f"its data.pkl calls something that is not a class or function; {SAVE_PLAIN}")
        self.stack.append(self.called(function.text, arguments))

    def called(self, name: str, arguments: _Container) -> _Container:
        """The result of a call."""
        self.spend(arguments.length)
        if name in STORAGES:
            raise CheckpointError(f"its data.pkl calls {name}, which can ask for any amount of memory; {SAVE_PLAIN}")
        if name == "_codecs.encode" and (arguments.length != 2 or arguments.items[1] != "latin1"):
            raise CheckpointError(f"its data.pkl calls _codecs.encode, but not to read bytes; {SAVE_PLAIN}")
        if name in PATHS and not all(isinstance(part, str) for part in arguments.items):
            raise CheckpointError(f"it has a path inside a path; {SAVE_PLAIN}")
        result = self.made(CONTAINERS.get(name, name))
        if name in CONTAINERS:
            self.spend(arguments.leaves)
            for item in arguments.items:
                if isinstance(item, _Container):
                    self.spend(item.leaves)
                    self.hashed(item.chosen)
                    result.depth, result.leaves = max(result.depth, item.depth), max(result.leaves, item.leaves)
                    result.length += item.length
                    result.chosen += item.chosen
                elif isinstance(item, str | bytes):
                    self.spend(len(item))
        return result

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        kind = target.kind if isinstance(target, _Container) else ""
        if kind == "dict" and not (isinstance(state, _Container) and state.kind == "dict"):
            raise CheckpointError(f"its data.pkl gives a dictionary attributes that are not a dictionary; {SAVE_PLAIN}")
        if isinstance(state, _Container):
            self.spend(state.length)

    def append(self) -> None:
        item = self.stack.pop()
        self.stack[-1].add((item,))

    def appends(self) -> None:
        items = self.since_mark()
        self.stack[-1].add(items)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items_of([key, value])

    def set_items(self) -> None:
        self.set_items_of(self.since_mark())

    def set_items_of(self, pairs: list[Any]) -> None:
        for key in pairs[::2]:
            if isinstance(key, _Container):
                self.spend(key.leaves)
                self.hashed(1)
            elif isinstance(key, int) and key.bit_length() > 60:
                self.hashed(1)
        self.stack[-1].add(pairs)

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def tuple_since_mark(self) -> None:
        items = self.since_mark()
        self.stack.append(self.made("tuple", tuple(items)))

    def tuple_of(self, size: int) -> None:
        items = tuple(self.stack[-size:])
        if len(items) != size:
            raise IndexError("the stack is empty")
        self.stack[-size:] = [self.made("tuple", items)]

    def text(self) -> None:
        self.stack.append(str(self.bytes(self.number("<I", 4)), "utf-8", "surrogatepass"))

    def put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def storage(self) -> None:
        """A reference to a stored tensor: `("storage", class, key, device, number of elements)`."""
        reference = self.stack.pop()
        items = reference.items if isinstance(reference, _Container) and reference.kind == "tuple" else ()
        expected = [str, _Name, str, str, int]
        if len(items) == 6 and items[5] is None:  # the old format has a sixth item, for views of other storages
            items = items[:5]
        if [type(item) for item in items] != expected or items[0] != "storage" or not 0 <= items[4] < 2**62:
            raise CheckpointError(f"its data.pkl refers to a stored tensor in an unknown way; {SAVE_PLAIN}")
        _, kind, key, device, count = items
        if len(key) > 100 or len(device) > 100:
            raise CheckpointError(f"its data.pkl refers to the stored tensor {shown(key)}; {SAVE_PLAIN}")
        size, stored = count * STORAGES.get(kind.text, 1), self.storages.get(key)
        if stored is not None and size > stored:
            raise CheckpointError(
                f"damaged: data/{key} has {stored:,} bytes, but the tensors in it need {size:,}; copy the file again"
            )
        self.stack.append(self.made("a storage"))


def _push(value: Callable[["_Scan"], Any]) -> Callable[["_Scan"], None]:
    return lambda scan: scan.stack.append(value(scan))


def _get(form: str, size: int) -> Callable[["_Scan"], None]:
    return lambda scan: scan.stack.append(scan.memo[scan.number(form, size)])


def _put(form: str, size: int) -> Callable[["_Scan"], None]:
    return lambda scan: scan.put(scan.number(form, size))


#: The operations that PyTorch's reader knows, by their byte.
_OPERATIONS: dict[int, Callable[[_Scan], None]] = {
    0x80: _Scan.protocol,
    ord("c"): _Scan.name,
    ord("R"): _Scan.call,
    0x81: _Scan.call,
    ord("b"): _Scan.build,
    ord("a"): _Scan.append,
    ord("e"): _Scan.appends,
    ord("s"): _Scan.set_item,
    ord("u"): _Scan.set_items,
    ord("("): _Scan.mark,
    ord("t"): _Scan.tuple_since_mark,
    0x85: lambda scan: scan.tuple_of(1),
    0x86: lambda scan: scan.tuple_of(2),
    0x87: lambda scan: scan.tuple_of(3),
    ord("N"): _push(lambda scan: None),
    0x88: _push(lambda scan: True),
    0x89: _push(lambda scan: False),
    ord(")"): _push(lambda scan: scan.made("tuple")),
    ord("]"): _push(lambda scan: scan.made("list")),
    ord("}"): _push(lambda scan: scan.made("dict")),
    0x8F: _push(lambda scan: scan.made("set")),
    ord("J"): _push(lambda scan: scan.number("<i", 4)),
    ord("K"): _push(lambda scan: scan.number("B", 1)),
    ord("M"): _push(lambda scan: scan.number("<H", 2)),
    ord("G"): _push(lambda scan: scan.number(">d", 8)),
    0x8A: _push(lambda scan: int.from_bytes(scan.bytes(scan.number("B", 1)), "little", signed=True)),
    ord("X"): _Scan.text,
    ord("U"): _push(lambda scan: scan.bytes(scan.number("B", 1))),
    ord("Q"): _Scan.storage,
    ord("h"): _get("B", 1),
    ord("j"): _get("<I", 4),
    ord("q"): _put("B", 1),
    ord("r"): _put("<I", 4),
}
