"""Torch in forked processes, such as those of `datasets.map(num_proc=2)`."""

import os
import sys

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
