"""What a child process needs: to use torch after a fork, and to end with its parent."""

import multiprocessing
import os
import sys
import threading
from multiprocessing.connection import wait

__all__: list[str] = []

#: The process that imported this module; a forked one has another id.
_IMPORTED_IN = os.getpid()


def allow_forks() -> None:
    """Let torch use one thread in a forked process, as its DataLoader does; its parent's threads do not exist there.

    Without this, torch waits forever for those threads if the parent has used them.
    """
    torch = sys.modules.get("torch")
    if torch is not None and os.getpid() != _IMPORTED_IN and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


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
