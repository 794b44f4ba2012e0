"""The PanoLLaVA models, under the file name that the Hub uses."""

from panollava_hf.modeling_base import PanoLLaVaModel, PanoLLaVaPreTrainedModel
from panollava_hf.modeling_features import PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg
from panollava_hf.modeling_generation import PanoLLaVaForConditionalGeneration

__all__ = [
    "PanoLLaVaForConditionalGeneration",
    "PanoLLaVaForFeatureExtraction",
    "PanoLLaVaForVICReg",
    "PanoLLaVaModel",
    "PanoLLaVaPreTrainedModel",
]
