"""PanoLLaVA: ask questions about 360° panoramas with a Hugging Face model."""

__all__: list[str] = []
