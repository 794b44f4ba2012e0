"""Convert checkpoints of the original PanoLLaVA."""

import warnings
from typing import Any

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._convert import Conversion, convert_lightning_checkpoint

__all__ = ["CheckpointError", "Conversion", "convert_lightning_checkpoint"]

#: Old public names, by the new ones.
_RENAMED = {"Account": "ConversionReport", "Row": "KeyReport"}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from panollava_hf.conversion import _report

    warnings.warn(
        f"panollava_hf.conversion.{name} is deprecated: it is {_RENAMED[name]}, the type of `Conversion.report`",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(_report, _RENAMED[name])
