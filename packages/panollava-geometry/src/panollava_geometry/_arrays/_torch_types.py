"""`Tensor` for annotations in modules that must work without importing torch, which takes 1 to 2 seconds."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor as Tensor
else:  # jaxtyping checks the shape and dtype of anything that has them
    Tensor = Any


def is_compiling() -> bool:
    """Whether torch.compile traces the caller."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_compiling())
