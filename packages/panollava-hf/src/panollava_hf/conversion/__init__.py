"""Converting checkpoints of the original PanoLLaVA."""

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._convert import Conversion, convert_lightning_checkpoint
from panollava_hf.conversion._report import Account, Row

__all__ = ["Account", "CheckpointError", "Conversion", "Row", "convert_lightning_checkpoint"]
