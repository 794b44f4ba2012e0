"""PanoLLaVA: ask questions about 360° panoramas with a Hugging Face model.

Importing this package is cheap and makes the Auto classes of transformers know the model; torch and the models are
imported when the first of the names below is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from panollava_hf.auto import register

if TYPE_CHECKING:
    from panollava_hf.configuration_panollava import PanoLLaVaConfig
    from panollava_hf.conversion import convert_lightning_checkpoint
    from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
    from panollava_hf.modeling_panollava import (
        PanoLLaVaForConditionalGeneration,
        PanoLLaVaForFeatureExtraction,
        PanoLLaVaForVICReg,
        PanoLLaVaModel,
        PanoLLaVaPreTrainedModel,
    )
    from panollava_hf.outputs_panollava import (
        PanoLLaVaCausalLMOutput,
        PanoLLaVaFeatureOutput,
        PanoLLaVaVICRegOutput,
    )
    from panollava_hf.processing_panollava import PanoLLaVaProcessor

__all__ = [
    "PanoLLaVaCausalLMOutput",
    "PanoLLaVaConfig",
    "PanoLLaVaFeatureOutput",
    "PanoLLaVaForConditionalGeneration",
    "PanoLLaVaForFeatureExtraction",
    "PanoLLaVaForVICReg",
    "PanoLLaVaImageProcessor",
    "PanoLLaVaModel",
    "PanoLLaVaPreTrainedModel",
    "PanoLLaVaProcessor",
    "PanoLLaVaVICRegOutput",
    "convert_lightning_checkpoint",
]

_HOMES = {
    "PanoLLaVaConfig": "configuration_panollava",
    "PanoLLaVaImageProcessor": "image_processing_panollava",
    "PanoLLaVaProcessor": "processing_panollava",
    "PanoLLaVaCausalLMOutput": "outputs_panollava",
    "PanoLLaVaFeatureOutput": "outputs_panollava",
    "PanoLLaVaVICRegOutput": "outputs_panollava",
    "convert_lightning_checkpoint": "conversion",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'modeling_panollava')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


register()
