"""Convert checkpoints of the original PanoLLaVA."""

from panollava_hf._errors import CheckpointError
from panollava_hf._faces import renamed
from panollava_hf.conversion._convert import Conversion, convert_lightning_checkpoint

__all__ = ["CheckpointError", "Conversion", "convert_lightning_checkpoint"]

_REPORT = "panollava_hf.conversion._report"
__getattr__ = renamed(__name__, {"Account": f"{_REPORT}.ConversionReport", "Row": f"{_REPORT}.KeyReport"})
