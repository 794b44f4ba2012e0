"""Decoding at reduced scale, EXIF orientation, and damaged files."""

import numpy as np
import pytest
from panollava_geometry import PanoramaError, load_equirectangular, load_views, plan_views
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile


def test_a_jpeg_is_decoded_at_the_smallest_sufficient_scale(rgb_array, encoded, monkeypatch):
    scales = []

    def spy(self, mode, size):
        draft_result = original(self, mode, size)
        scales.append(self.size)
        return draft_result

    original = JpegImageFile.draft
    monkeypatch.setattr(JpegImageFile, "draft", spy)
    data = encoded(rgb_array, "JPEG", quality=95)
    load_equirectangular(data, max_width=500)
    load_views(data, plan_views("cubemap"), 48)
    assert scales == [(512, 256), (512, 256)]


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation(rgb_array, encoded, orientation, kind):
    upright = Image.fromarray(np.ascontiguousarray(rgb_array[::4, ::4]))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_equirectangular(encoded(stored, kind, exif=exif), max_width=256)
    expected = load_equirectangular(upright, max_width=256)
    assert (loaded.int() - expected.int()).abs().max() <= 8


@pytest.mark.parametrize("size", [(48, 16), (16, 16)])
def test_images_that_are_not_2_to_1(encoded, size):
    width, height = size
    with pytest.raises(PanoramaError, match=f"{width}x{height} is not a full equirectangular panorama"):
        load_views(encoded(np.zeros((height, width, 3), np.uint8)), plan_views("cubemap"), 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_an_incomplete_file(rgb_array, encoded, tmp_path, kind):
    data = encoded(rgb_array, kind)
    path = tmp_path / "cut"
    for share in (0.5, 0.1):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(PanoramaError, match=r"damaged|not an image"):
            load_equirectangular(path)
