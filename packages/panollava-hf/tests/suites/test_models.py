"""The model, generation and config suites on every variant."""

import unittest

import pytest
import torch
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, PanoLLaVaModel
from registered import register
from tests import test_modeling_common
from tests.generation.test_utils import GenerationTesterMixin
from tests.test_configuration_common import ConfigTester
from tests.test_modeling_common import ModelTesterMixin
from variants import VARIANTS, Tester

register(test_modeling_common)


class ModelSuite(ModelTesterMixin, GenerationTesterMixin):
    """What every variant shares."""

    all_model_classes = (PanoLLaVaModel, PanoLLaVaForConditionalGeneration)
    pipeline_model_mapping = {}  # noqa: RUF012 - transformers reads a plain dict
    _is_composite = True
    _torch_compile_train_cls = PanoLLaVaForConditionalGeneration
    # Read by 4.57
    test_pruning = False
    test_head_masking = False
    test_torchscript = False
    fx_compatible = False
    settings: dict = {}  # noqa: RUF012

    def setUp(self):
        torch.manual_seed(0)
        self.model_tester = Tester(self, self.settings)
        self.config_tester = ConfigTester(self, config_class=PanoLLaVaConfig, has_text_modality=False)

    def test_config(self):
        """The config suite."""
        self.config_tester.run_common_tests()

    def test_mismatching_num_image_tokens(self):
        """As in transformers' suite of vision-language models: a wrong number of panoramas is an error."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        for model_class in self.all_model_classes:
            model = model_class(config).eval()
            model(**inputs)
            with pytest.raises(ValueError, match=r"[Ii]mage features and image tokens do not match|panoramas"):
                model(**{**inputs, "pixel_values": inputs["pixel_values"][-1:]})
            one = {name: value[:1] for name, value in inputs.items()}
            twice = {name: torch.cat([value, value]) for name, value in one.items()}
            with pytest.raises(ValueError, match="do not match"):
                model(**{**twice, "pixel_values": one["pixel_values"]})
            model(**twice)


for _name, _settings in VARIANTS.items():
    globals()[f"Test{_name}"] = type(f"Test{_name}", (ModelSuite, unittest.TestCase), {"settings": _settings})
