"""The model suite on the classes that read no text."""

import unittest

import torch
from panollava_hf import PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg
from registered import register
from tests import test_modeling_common
from tests.test_modeling_common import ModelTesterMixin
from variants import VisionTester

register(test_modeling_common)


class VisionSuite(ModelTesterMixin):
    """What both classes share."""

    pipeline_model_mapping = {}  # noqa: RUF012 - transformers reads a plain dict
    _is_composite = True
    test_resize_embeddings = False  # no text, no vocabulary
    has_attentions = True
    # Read by 4.57
    test_pruning = False
    test_head_masking = False
    test_torchscript = False
    fx_compatible = False
    settings: dict = {}  # noqa: RUF012
    patch_size = 8

    def setUp(self):
        torch.manual_seed(0)
        self.model_tester = VisionTester(self, self.settings, self.patch_size)


class TestVicreg(VisionSuite, unittest.TestCase):
    """Pretraining of the vision side."""

    all_model_classes = (PanoLLaVaForVICReg,)
    settings = {"resampler_type": "mlp", "overlap_ratio": 0.5, "num_views": 8}  # noqa: RUF012
    patch_size = 4  # a finer grid, so that neighbouring views share tokens


class TestFeatures(VisionSuite, unittest.TestCase):
    """Vectors of panoramas, through a connector."""

    all_model_classes = (PanoLLaVaForFeatureExtraction,)
    settings = {"resampler_type": "perceiver", "num_latent_tokens": 4}  # noqa: RUF012


class TestTowerFeatures(VisionSuite, unittest.TestCase):
    """Vectors of panoramas, straight from the vision tower."""

    all_model_classes = (PanoLLaVaForFeatureExtraction,)
    settings = {"resampler_type": "none"}  # noqa: RUF012
