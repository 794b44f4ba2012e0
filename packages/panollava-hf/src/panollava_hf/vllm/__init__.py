"""The plugin for vLLM, which loads it in every process through the entry point `vllm.general_plugins`.

vLLM serves an exported folder without this package, with `--trust-remote-code`. With this package it needs no remote
code, and it serves checkpoints without `auto_map` too. Importing this module imports neither vLLM nor torch.
"""

__all__ = ["register"]

_ARCHITECTURE = "PanoLLaVaForConditionalGeneration"


def register() -> None:
    """Register PanoLLaVA with vLLM's models, by name: the class is imported when a checkpoint needs it.

    vLLM calls this once or several times in each process. The import of `panollava_hf` has already registered config,
    model and processor with the Auto classes, through which vLLM loads them.

    Raises:
        ImportError: vLLM is not installed.
    """
    from vllm import ModelRegistry

    if _ARCHITECTURE not in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(_ARCHITECTURE, f"{__name__}._model:{_ARCHITECTURE}")
