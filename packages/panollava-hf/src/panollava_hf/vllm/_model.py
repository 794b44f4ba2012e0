"""The model that vLLM runs: its transformers backend, with dummy panoramas of the right shape."""

from typing import Any

from vllm.model_executor.models.transformers import TransformersMultiModalForCausalLM
from vllm.model_executor.models.transformers.multimodal import (
    MultiModalDummyInputsBuilder,
    MultiModalProcessingInfo,
    MultiModalProcessor,
)
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.multimodal.parse import ImageSize

__all__ = ["PanoLLaVaForConditionalGeneration"]


class PanoramaInfo(MultiModalProcessingInfo):
    """vLLM makes images of this size when it starts, to measure memory."""

    def get_image_size_with_most_features(self) -> Any:
        """Every panorama has the same number of views; one that is as high as a view is enough."""
        height = self.get_hf_processor().image_processor.size["height"]
        return ImageSize(width=2 * height, height=height)


@MULTIMODAL_REGISTRY.register_processor(
    MultiModalProcessor, info=PanoramaInfo, dummy_inputs=MultiModalDummyInputsBuilder
)
class PanoLLaVaForConditionalGeneration(TransformersMultiModalForCausalLM):
    """A PanoLLaVA checkpoint in vLLM's transformers backend."""
