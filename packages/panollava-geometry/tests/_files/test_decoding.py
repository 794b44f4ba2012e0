"""Decoding at reduced scale, EXIF orientation, and damaged files."""

import io
import tracemalloc

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, load_equirectangular, load_views, plan_views
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngInfo


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


@pytest.mark.parametrize("size", [(1025, 512), (2048, 1023), (400, 199), (100, 51), (4096, 2040), (8, 4), (2, 1)])
def test_nearly_2_to_1_is_a_full_sphere(size):
    width = size[0] + size[0] % 2 if size[0] != 1025 else 1024
    assert load_equirectangular(Image.new("RGB", size)).shape == (3, width // 2, width)


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (2, 2), (1, 2), (6, 2), (4096, 2000), (1000, 490)])
def test_the_tolerance_is_relative(encoded, size):
    with pytest.raises(PanoramaError, match=rf"{size[0]}x{size[1]} (pixels are not a panorama|is not a full)"):
        load_equirectangular(encoded(Image.new("RGB", size)))


def test_the_case_of_one_pixel(shared):
    with pytest.raises(PanoramaError, match="1x1 pixels are not a panorama"):
        load_views(shared / "cases" / "one_pixel.png", plan_views("cubemap"), 8)


def test_an_mpo_is_decoded_like_a_jpeg(rgb_array, encoded, monkeypatch):
    """The main image, at the scale of a JPEG: the second image is a preview."""
    decoded = []
    load = JpegImageFile.load_prepare
    monkeypatch.setattr(JpegImageFile, "load_prepare", lambda self: (decoded.append(self.size), load(self))[1])
    image = Image.fromarray(rgb_array)
    preview = Image.new("RGB", (512, 256))
    mpo = encoded(image, "MPO", save_all=True, append_images=[preview], quality=95)
    with Image.open(io.BytesIO(mpo)) as opened:
        assert opened.format == "MPO"
    from_mpo = load_equirectangular(mpo, max_width=500)
    assert torch.equal(from_mpo, load_equirectangular(encoded(image, "JPEG", quality=95), max_width=500))
    load_views(mpo, plan_views("cubemap"), 48)
    assert decoded == [(512, 256)] * 3
    turned = Image.Exif()
    turned[0x112] = 6
    data = encoded(
        image.rotate(90, expand=True), "MPO", save_all=True, append_images=[preview], exif=turned, quality=95
    )
    assert (load_equirectangular(data, max_width=500).int() - from_mpo.int()).abs().max() <= 8


def strip_packet(width, height):
    fields = (2 * height, height, 2 * height, width, 0, (height - width) // 2)
    area = "CroppedArea"
    names = ("FullPanoWidth", "FullPanoHeight", f"{area}ImageWidth", f"{area}ImageHeight", f"{area}Left", f"{area}Top")
    return " ".join(f'GPano:{name}Pixels="{value}"' for name, value in zip(names, fields, strict=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "palette"])
def test_the_limit_is_for_what_is_made(encoded, monkeypatch, kind):
    """A strip of a sphere that is larger than the limit."""
    for module in ("_sources._source", "_files._placement"):
        monkeypatch.setattr(f"panollava_geometry.{module}.MAX_PIXELS", 2_000_000)
    image = Image.new("RGB", (4000, 400), (90, 120, 150))
    packet = f"<x {strip_packet(400, 2000)}/>"
    if kind == "JPEG":
        data = encoded(image, "JPEG", xmp=packet.encode())
    else:
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        data = encoded(image if kind == "PNG" else image.quantize(8), pnginfo=info)
    loaded, mask = load_equirectangular(data, max_width=512, return_mask=True)
    assert loaded.shape == (3, 256, 512)
    assert mask.float().mean() == pytest.approx(0.2, abs=0.01)
    assert loaded[:, 128, 256].tolist() == pytest.approx([90, 120, 150], abs=3)
    assert load_views(data, plan_views("cubemap"), 32).shape == (6, 3, 32, 32)
    with pytest.raises(
        PanoramaError, match=r"too large \(4000x2000, at most 2000000 pixels\); .*pass a smaller max_width"
    ):
        load_equirectangular(data)
    with pytest.raises(PanoramaError, match=r"too large \(4000x2000"):
        load_equirectangular(data, max_width=3000)


def test_the_wide_strip_needs_little_memory(encoded):
    """The strip of 50 megapixels of a sphere of 200 megapixels."""
    strip = Image.new("RGB", (20000, 2500), (90, 120, 150))
    data = encoded(strip, "JPEG", quality=30, xmp=f"<x {strip_packet(2500, 10000)}/>".encode())
    assert load_equirectangular(data, max_width=2048).shape == (3, 1024, 2048)
    tracemalloc.start()  # numpy's memory; Pillow's is that of the reduced strip, 2500x313
    assert load_views(data, plan_views("cubemap"), 224).shape == (6, 3, 224, 224)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20
