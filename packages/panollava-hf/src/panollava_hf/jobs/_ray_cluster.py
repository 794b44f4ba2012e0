"""The Ray cluster of a job: the one that is there, else one on this machine for as long as the job runs."""

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from panollava_hf._errors import JobError, boundary

#: Enough for the reports; the results do not go through Ray.
_STORE_BYTES = 256 * 2**20
#: How long a cluster may take to answer, in seconds.
_CONNECT_S = 10


@contextmanager
def ray_cluster() -> Iterator[bool]:
    """Connect to a cluster while a block runs; whether it was started for the block.

    The caller's, if `ray.init` was called; else the one that `RAY_ADDRESS` names; else one on this machine.

    Raises:
        JobError: Ray is not installed, or there is no such cluster.
    """
    # Read when ray is imported: what it prints to stdout about processes that died. The job reports those itself.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed|the task will be retried")
    try:
        import ray
        import ray.data  # its own requirements may be missing
    except ImportError as error:
        raise JobError("--engine ray needs the package ray: pip install 'panollava-hf[ray]'") from error
    if ray.is_initialized():
        yield False
        return
    address = os.environ.get("RAY_ADDRESS", "").strip()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address in ("", "local"):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
        problem, remedy = "Ray cannot start on this machine", "use --engine local"
    else:
        problem = f"cannot connect to the Ray cluster at RAY_ADDRESS={address[:100]}"
        remedy = "start the cluster, or unset RAY_ADDRESS to run on this machine"
    with boundary(JobError, problem, remedy), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about plans of Ray
        _check_port(address)
        ray.init(address=address or "local", **options)
    try:
        yield address in ("", "local")
    finally:
        ray.shutdown()


def _check_port(address: str) -> None:
    """Check that something answers at `host:port`; Ray itself tries for minutes.

    Raises:
        OSError: Nothing does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()


@contextmanager
def quiet_ray_data() -> Iterator[None]:
    """Show no progress bars and logs of Ray Data while a block runs; its log files are not changed."""
    from ray.data import DataContext

    context, logger = DataContext.get_current(), logging.getLogger("ray.data")
    names = ("enable_progress_bars", "enable_operator_progress_bars")
    kept = {name: getattr(context, name) for name in names}
    handlers = {
        h: h.level for h in logger.handlers if isinstance(h, logging.StreamHandler) and h.level < logging.CRITICAL
    }
    try:
        for name in names:
            setattr(context, name, False)
        for handler in handlers:
            handler.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for name, value in kept.items():
            setattr(context, name, value)
        for handler, level in handlers.items():
            handler.setLevel(level)


def machines() -> list[dict[str, float]]:
    """The resources of each machine of the cluster."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
