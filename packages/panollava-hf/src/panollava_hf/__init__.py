"""PanoLLaVA: ask questions about 360° panoramas with a Hugging Face model.

Importing this package is cheap: torch and the models are imported when one of the names below is used. It also makes
the Auto classes of transformers able to load PanoLLaVA checkpoints, in whichever order the two are imported.
"""

import importlib
from typing import TYPE_CHECKING, Any

from panollava_hf._auto import register

if TYPE_CHECKING:
    from panollava_hf._errors import PanoLLaVaError
    from panollava_hf._lora import add_lora, merge_lora
    from panollava_hf._outputs import PanoLLaVaCausalLMOutput, PanoLLaVaFeatureOutput, PanoLLaVaVICRegOutput
    from panollava_hf.asking import Answer, Answerer, default_checkpoint
    from panollava_hf.configuration_panollava import PanoLLaVaConfig
    from panollava_hf.conversion import convert_lightning_checkpoint
    from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
    from panollava_hf.modeling_panollava import (
        PanoLLaVaForConditionalGeneration,
        PanoLLaVaModel,
        PanoLLaVaPreTrainedModel,
    )
    from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg
    from panollava_hf.processing_panollava import PanoLLaVaProcessor

#: Module of each public name.
_HOMES = {
    "Answer": "asking",
    "Answerer": "asking",
    "PanoLLaVaCausalLMOutput": "_outputs",
    "PanoLLaVaConfig": "configuration_panollava",
    "PanoLLaVaError": "_errors",
    "PanoLLaVaFeatureOutput": "_outputs",
    "PanoLLaVaForConditionalGeneration": "modeling_panollava",
    "PanoLLaVaForFeatureExtraction": "modeling_panollava_vision",
    "PanoLLaVaForVICReg": "modeling_panollava_vision",
    "PanoLLaVaImageProcessor": "image_processing_panollava",
    "PanoLLaVaModel": "modeling_panollava",
    "PanoLLaVaPreTrainedModel": "modeling_panollava",
    "PanoLLaVaProcessor": "processing_panollava",
    "PanoLLaVaVICRegOutput": "_outputs",
    "add_lora": "_lora",
    "convert_lightning_checkpoint": "conversion",
    "default_checkpoint": "asking",
    "merge_lora": "_lora",
}

__all__ = [
    "Answer",
    "Answerer",
    "PanoLLaVaCausalLMOutput",
    "PanoLLaVaConfig",
    "PanoLLaVaError",
    "PanoLLaVaFeatureOutput",
    "PanoLLaVaForConditionalGeneration",
    "PanoLLaVaForFeatureExtraction",
    "PanoLLaVaForVICReg",
    "PanoLLaVaImageProcessor",
    "PanoLLaVaModel",
    "PanoLLaVaPreTrainedModel",
    "PanoLLaVaProcessor",
    "PanoLLaVaVICRegOutput",
    "add_lora",
    "convert_lightning_checkpoint",
    "default_checkpoint",
    "merge_lora",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


register()
