"""The model that vLLM runs: its transformers backend, with dummy panoramas of the right shape and our messages."""

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
        """Every panorama has the same number of views, so one that is as high as a view is enough."""
        height = self.get_hf_processor().image_processor.size["height"]
        return ImageSize(width=2 * height, height=height)


class PanoramaProcessor(MultiModalProcessor):
    """Reports what is wrong with an image; vLLM alone only says that the processor failed."""

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Process a request.

        Raises:
            ValueError: An image is not a panorama, with the message of our processor.
        """
        try:
            return super().apply(*args, **kwargs)
        except ValueError as error:
            if isinstance(error.__cause__, ValueError):
                raise ValueError(str(error.__cause__)) from error
            raise


@MULTIMODAL_REGISTRY.register_processor(PanoramaProcessor, info=PanoramaInfo, dummy_inputs=MultiModalDummyInputsBuilder)
class PanoLLaVaForConditionalGeneration(TransformersMultiModalForCausalLM):
    """A PanoLLaVA checkpoint in vLLM's transformers backend."""
