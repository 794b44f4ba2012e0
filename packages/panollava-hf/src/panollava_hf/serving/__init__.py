"""An OpenAI-compatible server for a PanoLLaVA checkpoint: `panollava serve`."""

__all__: list[str] = []
