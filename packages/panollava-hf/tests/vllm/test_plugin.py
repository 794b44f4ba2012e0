"""The plugin with a stand-in for vLLM. `nox -s vllm` runs it with vLLM itself."""

import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from panollava_hf.vllm import register

ARCHITECTURE = "PanoLLaVaForConditionalGeneration"
MODEL = "panollava_hf.vllm._model"


class Registry:
    """vLLM's `ModelRegistry`: names of architectures, and where their classes are."""

    def __init__(self):
        self.models = {"LlamaForCausalLM": "somewhere:LlamaForCausalLM"}
        self.calls = 0

    def get_supported_archs(self):
        return self.models.keys()

    def register_model(self, name, where):
        self.calls += 1
        self.models[name] = where


class Processor:
    """vLLM's processor of its transformers backend, which hides why our processor failed."""

    def apply(self, failure):
        try:
            raise failure
        except Exception as error:
            raise ValueError("Failed to apply PanoLLaVaProcessor on data={...}") from error


class Info:
    def __init__(self, height):
        self.height = height

    def get_hf_processor(self):
        return SimpleNamespace(image_processor=SimpleNamespace(size={"height": self.height, "width": 3 * self.height}))


def register_processor(processor, **parts):
    def decorate(kind):
        kind.parts = (processor, parts)
        return kind

    return decorate


@pytest.fixture
def registry(monkeypatch):
    """Stand-ins for the modules of vLLM that the plugin imports."""
    registry, backend = Registry(), "vllm.model_executor.models.transformers"
    contents = {
        "vllm": {"ModelRegistry": registry},
        "vllm.model_executor": {},
        "vllm.model_executor.models": {},
        backend: {"TransformersMultiModalForCausalLM": type("TransformersMultiModalForCausalLM", (), {})},
        f"{backend}.multimodal": {
            "MultiModalDummyInputsBuilder": type("Builder", (), {}),
            "MultiModalProcessingInfo": Info,
            "MultiModalProcessor": Processor,
        },
        "vllm.multimodal": {"MULTIMODAL_REGISTRY": SimpleNamespace(register_processor=register_processor)},
        "vllm.multimodal.parse": {"ImageSize": lambda width, height: (width, height)},
    }
    for name, names in contents.items():
        module = ModuleType(name)
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, MODEL, raising=False)
    yield registry
    sys.modules.pop(MODEL, None)


@pytest.fixture
def model(registry):
    """The class that the plugin registers, found as vLLM finds it."""
    register()
    module, _, name = registry.models[ARCHITECTURE].partition(":")
    return getattr(importlib.import_module(module), name)


def test_the_plugin_registers_once_and_imports_no_model(registry):
    register()
    register()
    assert registry.calls == 1
    assert len(registry.models) == 2
    assert MODEL not in sys.modules


def test_dummy_images_are_panoramas(model):
    assert model.__name__ == ARCHITECTURE
    assert model.parts[1]["info"](40).get_image_size_with_most_features() == (80, 40)


def test_a_refused_image_is_reported_in_the_words_of_our_processor(model):
    processor = model.parts[0]()
    with pytest.raises(ValueError, match=r"^not a panorama$"):
        processor.apply(ValueError("not a panorama"))
    with pytest.raises(ValueError, match="Failed to apply"):  # a defect, not a wrong image
        processor.apply(KeyError("pixel_values"))


def test_the_entry_point_is_declared():
    group, project = "vllm.general_plugins", Path(__file__).parents[2] / "pyproject.toml"
    if project.exists():
        declared = tomllib.loads(project.read_text())["project"]["entry-points"][group]
    else:  # the tests of an installed wheel
        declared = {point.name: point.value for point in entry_points(group=group)}
    module, _, name = declared["panollava"].partition(":")
    assert getattr(importlib.import_module(module), name) is register


def test_importing_the_plugin_is_light():
    program = (
        "import sys, panollava_hf.vllm; print(sorted({'torch', 'transformers', 'vllm', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
