"""An OpenAI-compatible server for a PanoLLaVA checkpoint: `panollava serve`.

`transformers serve` loads these checkpoints too, but it has no key, opens any image address of a request, loads any
model that a request names, and answers a square image with status 500. So the server is a small application of our own.
"""

__all__: list[str] = []
