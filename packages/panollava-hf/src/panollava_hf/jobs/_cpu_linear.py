"""Linear layers through oneDNN on the CPU.

torch multiplies float32 matrices with MKL, which does not use all instructions of processors that are not Intel's.
There, oneDNN, which is a part of torch too, takes two thirds of the time. The results differ by rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _OneDNNLinear(TorchFunctionMode):
    """Sends `linear` of float32 tensors on the CPU to oneDNN, and changes nothing else."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.nn.functional.linear and not kwargs:
            inputs, weight, bias = (*args, None)[:3]
            if inputs.dtype == weight.dtype == torch.float32 and inputs.device.type == weight.device.type == "cpu":
                return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
        return func(*args, **(kwargs or {}))


@cache
def _is_available() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def fast_linear(device: torch.device) -> AbstractContextManager[Any]:
    """Multiply with oneDNN in a block without gradients, where torch has it; elsewhere this changes nothing.

    Args:
        device: The device of the model.

    Example:
        >>> layer, inputs = torch.nn.Linear(8, 4), torch.randn(2, 8)
        >>> with torch.inference_mode(), fast_linear(torch.device("cpu")):
        ...     found = layer(inputs)
        >>> torch.testing.assert_close(found, layer(inputs).detach())
    """
    return _OneDNNLinear() if device.type == "cpu" and _is_available() else nullcontext()
