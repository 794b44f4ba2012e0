"""The plugin for vLLM: `vllm.general_plugins` loads it in every process of vLLM."""

__all__: list[str] = []
