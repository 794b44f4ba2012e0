"""The device of a model: which one, whether torch can use it, and errors of its memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from panollava_hf._errors import ModelError, one_line


def accelerator() -> str:
    """The accelerator of this process, else the CPU."""
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if found is None else found.type


def check_device(device: Any) -> None:
    """Check that torch can use a device.

    Raises:
        ModelError: It cannot.
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # NotImplementedError is a RuntimeError
        raise ModelError(
            f"device {device} (--device) cannot be used ({one_line(error)}); use another, such as cpu"
        ) from error


@contextmanager
def memory_errors(batch: int) -> Iterator[None]:
    """What torch raises when memory is too small for so many panoramas, or for the model (0), as one line."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(batch, error) from error
    except RuntimeError as error:  # of the CPU's allocator
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise _too_large(batch, error) from error


def _too_large(batch: int, error: BaseException) -> ModelError:
    if not batch:
        return ModelError(
            f"there is not enough memory for the model ({one_line(error)}); use a smaller model, dtype='bfloat16' "
            "(--dtype), fewer workers, or another device"
        )
    return ModelError(
        f"there is not enough memory for {batch} panorama{'s' * (batch != 1)} in one forward pass ({one_line(error)}); "
        f"use {'a smaller batch_size (--batch-size)' if batch > 1 else 'smaller views (--view-size)'}, fewer workers, "
        "or another device"
    )
