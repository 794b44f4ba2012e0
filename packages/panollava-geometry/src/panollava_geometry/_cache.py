"""A cache bounded by the memory its values hold; the least recently used leave first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar, runtime_checkable


@runtime_checkable
class _Sized(Protocol):
    @property
    def nbytes(self) -> int:
        """Memory held."""


Value = TypeVar("Value", bound=_Sized)


class RecipeCache(Generic[Value]):
    """Values by hashable key, at most `max_bytes` of them (the newest one always stays)."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made and kept when it is not there."""
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
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._bytes = 0

    def __len__(self) -> int:
        return len(self._values)
