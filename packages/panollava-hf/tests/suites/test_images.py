"""The image processor suite."""

import unittest

from material import panoramas
from panollava_hf import PanoLLaVaImageProcessor
from tests import test_image_processing_common as common
from tests.test_image_processing_common import ImageProcessingTestMixin

Base = getattr(common, "ImageProcessingTester", object)  # 4.57 has none


class ImageTester(Base):
    """Settings and images."""

    batch_size, num_channels, min_resolution, max_resolution = 3, 3, 16, 64

    def __init__(self, parent, **kwargs):
        if Base is object:
            self.parent = parent
        else:
            super().__init__(parent, batch_size=3, min_resolution=16, max_resolution=64, **kwargs)

    def _get_image_processing_classes(self):
        return {"torchvision": PanoLLaVaImageProcessor}

    def prepare_image_processor_dict(self):
        """Settings that differ from the defaults."""
        return {
            "size": {"height": 16, "width": 16},
            "image_mean": [0.4, 0.5, 0.6],
            "image_std": [0.2, 0.3, 0.4],
            "num_views": 4,
            "overlap_ratio": 0.25,
        }

    def prepare_image_inputs(
        self,
        batch_size=None,
        min_resolution=None,
        max_resolution=None,
        num_channels=None,
        size_divisor=None,
        equal_resolution=False,
        numpify=False,
        torchify=False,
    ):
        """Panoramas, of one height or of several."""
        heights = (64,) if equal_resolution else (16, 32, 64)
        kind = "numpy" if numpify else "torch" if torchify else "pil"
        return panoramas(batch_size or self.batch_size, heights=heights, channels=num_channels or 3, kind=kind)

    def expected_output_image_shape(self, images):
        """Views, channels, height, width: four tiles and the global view."""
        return 5, 3, 16, 16


class TestImageProcessor(ImageProcessingTestMixin, unittest.TestCase):
    """One class for all backends: the views are cut by torch."""

    image_processor_tester_class = ImageTester
    # Read by 4.57
    image_processing_class = PanoLLaVaImageProcessor
    test_fast_image_processor = False

    def setUp(self):
        super().setUp()
        self.image_processor_tester = ImageTester(self)

    @property
    def image_processor_dict(self):
        """Its name in 4.57."""
        return self.image_processor_tester.prepare_image_processor_dict()
