"""The kinds of models: PanoLLaVA checkpoints, models of transformers, and endpoints. Each is a `Chat` in its own file.

`_load` finds out which kind a name means. A kind is imported when it is used: an endpoint needs no weights, and a local
model needs no client.
"""

__all__: list[str] = []
