"""Deprecated: import `add_lora` and `merge_lora` from `panollava_hf`."""

from panollava_hf._deprecated import renamed

__getattr__ = renamed(
    __name__,
    {
        "add_lora": "panollava_hf.add_lora",
        "merge_lora": "panollava_hf.merge_lora",
        "lora_config": "panollava_hf._lora.lora_config",
        "lora_targets": "panollava_hf._lora.lora_targets",
        "trainable_report": "panollava_hf._lora.trainable_report",
    },
)
