"""PanoLLaVA: ask questions about 360° panoramas with a Hugging Face model.

Importing this package is cheap: torch and the models are imported when one of the names below is used. It also makes
the Auto classes of transformers able to load PanoLLaVA checkpoints, in whichever order the two are imported.
"""

from typing import TYPE_CHECKING

from panollava_hf._auto import register
from panollava_hf._faces import lazy, moved

if TYPE_CHECKING:
    from panollava_hf._errors import PanoLLaVaError
    from panollava_hf._lora import add_lora, merge_lora
    from panollava_hf._outputs import PanoLLaVaCausalLMOutput, PanoLLaVaFeatureOutput, PanoLLaVaVICRegOutput
    from panollava_hf.asking import Answer, Answerer, default_checkpoint, panorama_messages
    from panollava_hf.configuration_panollava import PanoLLaVaConfig
    from panollava_hf.conversion import convert_lightning_checkpoint
    from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
    from panollava_hf.jobs import PanoramaAnswerer, PanoramaCaptioner, PanoramaCropper, PanoramaEmbedder
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
    "PanoramaAnswerer": "jobs",
    "PanoramaCaptioner": "jobs",
    "PanoramaCropper": "jobs",
    "PanoramaEmbedder": "jobs",
    "add_lora": "_lora",
    "convert_lightning_checkpoint": "conversion",
    "default_checkpoint": "asking",
    "merge_lora": "_lora",
    "panorama_messages": "asking",
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
    "PanoramaAnswerer",
    "PanoramaCaptioner",
    "PanoramaCropper",
    "PanoramaEmbedder",
    "add_lora",
    "convert_lightning_checkpoint",
    "default_checkpoint",
    "merge_lora",
    "panorama_messages",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)

#: Modules of 0.1 that README and documentation named.
_MOVED = {
    "answering": {name: name for name in ("Answer", "Answerer", "default_checkpoint")},
    "lora": {
        "add_lora": "add_lora",
        "merge_lora": "merge_lora",
        **{name: f"_lora.{name}" for name in ("lora_config", "lora_targets", "trainable_report")},
    },
    "data.panoshapes": {
        name: f"panoshapes.{name}"
        for name in (
            "COLOURS",
            "DIRECTIONS",
            "SHAPES",
            "Question",
            "Scene",
            "answer",
            "questions",
            "render_scene",
            "rotate_question",
            "sample_scene",
            "write_panoshapes",
        )
    },
}
for _module, _names in _MOVED.items():
    moved(f"{__name__}.{_module}", {old: f"{__name__}.{new}" for old, new in _names.items()})

register()
