"""Register PanoLLaVA with the Auto classes of transformers, which then need no `trust_remote_code`.

`AutoConfig.register` and the others take the classes themselves, and importing those takes seconds. So they are called
as soon as both are wanted: now, if transformers is imported already, otherwise right after its import. A command that
never uses transformers, such as `panollava --help`, does not pay for it. Until then, the garbage collector is paused
while modules of the four packages are imported.
"""

import importlib
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from panollava_hf._start_up import paused_collection

if TYPE_CHECKING:
    from importlib.abc import Loader  # costs a tenth of the time of `panollava --help`

MODEL_TYPE = "panollava"

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


def register() -> None:
    """Register config, models and processors with the Auto classes, now or when transformers is imported."""
    if "transformers" in sys.modules:
        _register_now()
    elif not any(isinstance(finder, _RegisterAfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegisterAfterImport())


def _register_now() -> None:
    transformers = importlib.import_module("transformers")
    config = _ours(AUTO_CLASSES["AutoConfig"])
    for name, path in AUTO_CLASSES.items():
        auto: Any = getattr(transformers, name, None)
        if name == "AutoConfig":
            auto.register(MODEL_TYPE, config, exist_ok=True)
        elif name == "AutoImageProcessor":
            _register_image_processor(auto, config, _ours(path))
        elif auto is not None:
            auto.register(config, _ours(path), exist_ok=True)


def _register_image_processor(auto: Any, config: Any, processor: Any) -> None:
    """Since 5.0 there is one class for each backend; 4.57 has a slow class, which is the only one we have."""
    try:
        auto.register(config, image_processor_classes={"pil": processor, "torchvision": processor}, exist_ok=True)
    except TypeError:
        auto.register(config, slow_image_processor_class=processor, exist_ok=True)


def _ours(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"panollava_hf.{module}"), name)


class _RegisterAfterImport:
    """A finder for `sys.meta_path` that calls `_register_now` once `transformers` is imported.

    The modules of the four PanoLLaVA packages import transformers too; then the classes exist only when the outermost
    of these modules is complete.
    """

    def __init__(self) -> None:
        self.state = threading.local()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "transformers" and not name.startswith("panollava_"):
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self.run_after(spec.loader)
        return spec

    def run_after(self, loader: "Loader") -> None:
        """Wrap the `exec_module` of one spec's own loader."""
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            depth = self.state.depth = getattr(self.state, "depth", 0) + 1
            with paused_collection():
                try:
                    execute(module)
                finally:
                    self.state.depth = depth - 1
                if depth == 1 and "transformers" in sys.modules and self in sys.meta_path:
                    sys.meta_path.remove(self)
                    _register_now()

        loader.exec_module = exec_module  # type: ignore[method-assign]
