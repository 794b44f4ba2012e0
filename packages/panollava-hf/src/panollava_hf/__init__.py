"""PanoLLaVA: ask questions about 360° panoramas with a Hugging Face model."""

from panollava_hf.auto import register
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
from panollava_hf.modeling_panollava import (
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaModel,
    PanoLLaVaPreTrainedModel,
)
from panollava_hf.outputs_panollava import PanoLLaVaCausalLMOutput
from panollava_hf.processing_panollava import PanoLLaVaProcessor

__all__ = [
    "PanoLLaVaCausalLMOutput",
    "PanoLLaVaConfig",
    "PanoLLaVaForConditionalGeneration",
    "PanoLLaVaImageProcessor",
    "PanoLLaVaModel",
    "PanoLLaVaPreTrainedModel",
    "PanoLLaVaProcessor",
]

register()
