"""What a child process needs: to use torch after a fork, and to end with its parent."""

import multiprocessing
import os
import sys
import threading
from multiprocessing.connection import wait

__all__: list[str] = []

#: The process in which torch may be used: the one that imported this module, then a forked one after `allow_forks`.
_ready_in = os.getpid()
_lock = threading.Lock()


def _new_lock() -> None:
    """Another thread of the parent may have held the lock; nobody would release it here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def allow_forks() -> None:
    """Let torch use one thread in a forked process, as its DataLoader does; its parent's threads do not exist there.

    Without this, torch waits forever for those threads if the parent has used them. The number is set even where it
    is one: torch then replaces its parent's pool of threads, which only one thread may do. Threads that load a model
    would do it at the same time, and some of them find no pool ("Invalid thread pool!").
    """
    global _ready_in
    torch = sys.modules.get("torch")
    if torch is None or os.getpid() == _ready_in:
        return
    with _lock:
        if os.getpid() != _ready_in:
            torch.set_num_threads(1)
            _ready_in = os.getpid()


def end_with_parent() -> None:
    """End this child process of `multiprocessing` when its parent ends, however that ends.

    A worker that waits for work would otherwise stay when its parent is ended by a signal.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
