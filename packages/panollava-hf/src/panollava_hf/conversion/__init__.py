"""Converting checkpoints of the original PanoLLaVA."""

from panollava_hf.conversion._errors import CheckpointError
from panollava_hf.conversion.accounting import Account, Row
from panollava_hf.conversion.convert import Conversion, convert_lightning_checkpoint

__all__ = ["Account", "CheckpointError", "Conversion", "Row", "convert_lightning_checkpoint"]
