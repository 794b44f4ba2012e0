"""A cache that is limited by the memory of its values, and a memory of recent keys."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar, runtime_checkable


@runtime_checkable
class _Sized(Protocol):
    @property
    def nbytes(self) -> int:
        """Memory in bytes."""


Value = TypeVar("Value", bound=_Sized)


class BoundedCache(Generic[Value]):
    """A thread-safe cache of at most `max_bytes`. It drops the least recently used values first.

    The newest value is always kept, even when it is larger than `max_bytes`.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key. A missing value is made and stored."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._bytes += value.nbytes
                while self._bytes > self.max_bytes and len(self._values) > 1:
                    self._bytes -= self._values.popitem(last=False)[1].nbytes
            return self._values[key]

    def clear(self) -> None:
        """Remove all values."""
        with self._lock:
            self._values.clear()
            self._bytes = 0

    def __len__(self) -> int:
        return len(self._values)


class RecentKeys:
    """The keys that were added last, thread-safe."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._keys: OrderedDict[Hashable, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, key: Hashable) -> bool:
        """Add a key. Returns whether it is new."""
        with self._lock:
            new = key not in self._keys
            self._keys[key] = None
            self._keys.move_to_end(key)
            if len(self._keys) > self.most:
                self._keys.popitem(last=False)
            return new

    def clear(self) -> None:
        """Remove all keys."""
        with self._lock:
            self._keys.clear()
