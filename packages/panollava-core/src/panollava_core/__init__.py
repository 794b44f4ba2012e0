"""Parts of a panoramic vision-language model: vision backbones, resamplers, projector and fusion."""

__all__: list[str] = []
