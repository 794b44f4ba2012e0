"""The processor suite."""

import shutil
import tempfile
import unittest

from material import panoramas
from panollava_hf import PanoLLaVaImageProcessor, PanoLLaVaProcessor, default_checkpoint
from tests.test_processing_common import ProcessorTesterMixin
from transformers import AutoTokenizer


class TestProcessor(ProcessorTesterMixin, unittest.TestCase):
    """The processor of the embedded checkpoint, its views made tiny."""

    processor_class = PanoLLaVaProcessor
    model_id = str(default_checkpoint())
    # A panorama takes 150 tokens in the embedded checkpoint; the lengths must hold it.
    images_text_kwargs_max_length = 217
    images_text_kwargs_override_max_length = 212
    images_unstructured_max_length = 176
    chat_template_max_length = 300

    @classmethod
    def setUpClass(cls):
        if hasattr(ProcessorTesterMixin, "setUpClass"):
            super().setUpClass()
            return
        cls.tmpdirname = tempfile.mkdtemp()
        processor = PanoLLaVaProcessor.from_pretrained(cls.model_id)
        processor.save_pretrained(cls.tmpdirname)
        cls.image_token = processor.image_token

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.tmpdirname, ignore_errors=True)

    @classmethod
    def _setup_tokenizer(cls):
        return AutoTokenizer.from_pretrained(cls.model_id)

    @classmethod
    def _setup_image_processor(cls):
        return PanoLLaVaImageProcessor.from_pretrained(cls.model_id)

    def prepare_images_inputs(self, batch_size=None, nested=False):
        """Panoramas."""
        images = panoramas(batch_size or 1)
        if batch_size is None:
            return images[0]
        return [[image] for image in images] if nested else images

    prepare_image_inputs = prepare_images_inputs  # its name in 4.57
