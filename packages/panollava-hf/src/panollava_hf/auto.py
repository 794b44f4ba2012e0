"""Make the Auto classes of transformers know PanoLLaVA, so that nobody with this package needs `trust_remote_code`."""

import transformers
from transformers import AutoConfig, AutoModel, AutoProcessor

from panollava_hf._compat import register_image_processor
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration, PanoLLaVaModel
from panollava_hf.processing_panollava import PanoLLaVaProcessor


def register() -> None:
    """Register config, models and processors; harmless when done twice."""
    AutoConfig.register(PanoLLaVaConfig.model_type, PanoLLaVaConfig, exist_ok=True)
    AutoModel.register(PanoLLaVaConfig, PanoLLaVaModel, exist_ok=True)
    AutoProcessor.register(PanoLLaVaConfig, PanoLLaVaProcessor, exist_ok=True)
    register_image_processor(PanoLLaVaConfig, PanoLLaVaImageProcessor)
    # AutoModelForVision2Seq is 4.57's, AutoModelForMultimodalLM 5.x's.
    for name in ("AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForMultimodalLM"):
        auto_class = getattr(transformers, name, None)
        if auto_class is not None:
            auto_class.register(PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, exist_ok=True)
