"""Opening files: missing files, files that are not images, and images that are too large."""

import zlib

import numpy as np
import pytest
from panollava_geometry import PanoramaError, load_equirectangular, load_views, plan_views
from panollava_geometry._source import MAX_PIXELS
from PIL import Image


@pytest.mark.parametrize(("name", "content"), [("text.jpg", b"this is text\n" * 50), ("empty.jpg", b"")])
def test_files_that_are_not_images(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PanoramaError, match="not an image that Pillow can read") as caught:
        load_views(path, plan_views("cubemap"), 8)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(PanoramaError, match=r"gone\.jpg: no such file; check the path"):
        load_equirectangular(tmp_path / "gone.jpg")
    with pytest.raises(PanoramaError, match="this is a folder"):
        load_equirectangular(tmp_path)
    with pytest.raises(PanoramaError, match="cannot be opened"):
        load_equirectangular("a\0b.jpg")
    with pytest.raises(PanoramaError, match="the input is empty"):
        load_equirectangular(b"")


def test_a_bomb_is_refused_before_it_is_decoded(encoded, monkeypatch):
    bomb = bytearray(encoded(np.zeros((2, 4), np.uint8)))
    bomb[16:24] = (40000).to_bytes(4, "big") + (20000).to_bytes(4, "big")
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with pytest.raises(PanoramaError, match="too large"):
        load_equirectangular(bytes(bomb))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # our limit applies even if a program removed Pillow's
    with pytest.raises(PanoramaError, match=rf"at most {MAX_PIXELS} pixels"):
        load_equirectangular(bytes(bomb))


def test_a_16k_panorama_loads_and_does_not_change_pillow(encoded):
    assert 16384 * 8192 < MAX_PIXELS
    before = Image.MAX_IMAGE_PIXELS
    data = encoded(Image.new("L", (16384, 8192)), "JPEG", quality=10)
    assert load_equirectangular(data, max_width=2048).shape == (3, 1024, 2048)
    assert before == Image.MAX_IMAGE_PIXELS
