"""Make the Auto classes of transformers know PanoLLaVA, so that nobody with this package needs `trust_remote_code`.

`AutoConfig.register` and its like want the classes themselves, and importing those costs seconds. So what is registered
here are names, the way transformers registers its own models: the tables of its four auto modules are given our entries
as soon as each of them is imported, and a module `transformers.models.panollava` resolves the names when one is used.
"""

import importlib
import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODEL_TYPE = "panollava"
CONFIG = "PanoLLaVaConfig"
AUTO = "transformers.models.auto"

#: Our class for each Auto class, as `module.Class`. Auto classes that the installed release does not have are left out.
AUTO_CLASSES = {
    "AutoConfig": "configuration_panollava.PanoLLaVaConfig",
    "AutoModel": "modeling_panollava.PanoLLaVaModel",
    "AutoModelForImageTextToText": "modeling_panollava.PanoLLaVaForConditionalGeneration",
    "AutoModelForMultimodalLM": "modeling_panollava.PanoLLaVaForConditionalGeneration",  # since 5.0
    "AutoModelForVision2Seq": "modeling_panollava.PanoLLaVaForConditionalGeneration",  # until 4.57
    "AutoModelForPreTraining": "modeling_panollava_vision.PanoLLaVaForVICReg",
    "AutoImageProcessor": "image_processing_panollava.PanoLLaVaImageProcessor",
    "AutoProcessor": "processing_panollava.PanoLLaVaProcessor",
}

#: Entries per auto module; a table that the installed release does not have is left out.
ENTRIES = {
    f"{AUTO}.configuration_auto": {"CONFIG_MAPPING_NAMES": CONFIG, "MODEL_NAMES_MAPPING": "PanoLLaVA"},
    f"{AUTO}.modeling_auto": {
        "MODEL_MAPPING_NAMES": "PanoLLaVaModel",
        "MODEL_FOR_PRETRAINING_MAPPING_NAMES": "PanoLLaVaForVICReg",
        "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES": "PanoLLaVaForConditionalGeneration",
        "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES": "PanoLLaVaForConditionalGeneration",  # 5.x
        "MODEL_FOR_VISION_2_SEQ_MAPPING_NAMES": "PanoLLaVaForConditionalGeneration",  # 4.57
    },
    f"{AUTO}.processing_auto": {"PROCESSOR_MAPPING_NAMES": "PanoLLaVaProcessor"},
    f"{AUTO}.image_processing_auto": {"IMAGE_PROCESSOR_MAPPING_NAMES": "PanoLLaVaImageProcessor"},
}


class _Names(ModuleType):
    """Stands where transformers looks for a model's classes, and fetches them from this package."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("PanoLLaVa"):
            return getattr(importlib.import_module("panollava_hf"), name)
        raise AttributeError(name)


class _AfterImport(MetaPathFinder):
    """Fills the tables of an auto module right after it has been imported."""

    def __init__(self, pending: set[str]) -> None:
        self.pending = pending

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self.pending:
            return None
        self.pending.discard(name)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _fill(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # this one spec's own loader
        return spec


def _fill(module: ModuleType) -> None:
    """Put our names into the tables of one auto module."""
    for table_name, class_name in ENTRIES[module.__name__].items():
        table = getattr(module, table_name, None)
        if table is not None:
            table[MODEL_TYPE] = _entry(table, class_name) if table_name.startswith("IMAGE_PROCESSOR") else class_name
    for mapping in list(vars(module).values()):
        if hasattr(mapping, "_reverse_config_mapping"):  # made when the tables did not have our entry yet
            mapping._reverse_config_mapping[CONFIG] = MODEL_TYPE


def _entry(table: dict[str, Any], class_name: str) -> Any:
    """An entry of the image-processor table: a class per backend in 5.x, (slow, fast) in 4.57."""
    example = next(iter(table.values()))
    return {"pil": class_name, "torchvision": class_name} if isinstance(example, dict) else (class_name, None)


def register() -> None:
    """Register config, models and processors with the Auto classes; harmless when done twice."""
    if f"transformers.models.{MODEL_TYPE}" in sys.modules:
        return
    sys.modules[f"transformers.models.{MODEL_TYPE}"] = _Names(f"transformers.models.{MODEL_TYPE}")
    pending = set(ENTRIES)
    for name in ENTRIES:
        if name in sys.modules:
            _fill(sys.modules[name])
            pending.discard(name)
    if pending:
        sys.meta_path.insert(0, _AfterImport(pending))
