"""transformers' suite that overfits a tiny model; releases before 5.0 do not have it."""

import unittest

import pytest
import stand_ins
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration
from tests.test_training_mixin import TrainingTesterMixin
from variants import VARIANTS, Tester

if stand_ins.missing("test_training_mixin"):
    pytest.skip("this release does not publish tests/test_training_mixin.py", allow_module_level=True)


class TrainingTester(Tester):
    """The suite reads `vocab_size` and `pad_token_id` of the config, as a language model has them."""

    def get_config(self):
        """The config, with the language model's vocabulary at the top."""
        config = super().get_config()
        config.vocab_size, config.pad_token_id = self.vocab_size, self.pad_token_id
        config.image_token_id = 60  # the suite trains on ids from 1 to 19
        return config


class TestTraining(TrainingTesterMixin, unittest.TestCase):
    """Text only: the suite has no batches with images."""

    all_model_classes = (PanoLLaVaForConditionalGeneration,)
    model_tester = None

    def setUp(self):
        torch.manual_seed(0)
        self.model_tester = TrainingTester(self, VARIANTS["Mlp"])
