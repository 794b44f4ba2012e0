"""The functions for programs that work through many panoramas."""

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, load_equirectangular
from panollava_geometry.files import check_options, load_with_size
from PIL import Image


def seamless(width, height=None):
    x = np.arange(width) / width * 2 * np.pi
    y = np.linspace(0, 3, width // 2 if height is None else height)[:, None]
    planes = [np.sin(k * x + y) for k in (1, 2, 3)]
    return ((np.stack(planes, -1) + 1) * 127).astype(np.uint8)


def write(tmp_path, name):
    """A file whose pixels are turned, a part of the sphere, or two spheres."""
    pixels, exif = seamless(512), Image.Exif()
    if name == "turned.jpg":
        exif[0x0112] = 8
        pixels = np.rot90(pixels, -1)
    if name == "strip.jpg":
        pixels = pixels[64:192]
    if name == "stereo.png":
        pixels = np.concatenate([pixels, pixels])
    if name == "odd.jpg":
        pixels = seamless(511, 256)
    if name == "square.jpg":
        pixels = seamless(512, 512)
    Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / name, exif=exif)
    return tmp_path / name


@pytest.mark.parametrize("max_width", [None, 512, 300, 128, 20])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.jpg", {}),
        ("plain.png", {}),
        ("odd.jpg", {}),
        ("turned.jpg", {}),
        ("strip.jpg", {"hfov_deg": 360}),
        ("strip.jpg", {"hfov_deg": 140.5}),
        ("strip.jpg", {"whole_sphere": True}),
        ("square.jpg", {"whole_sphere": True}),
        ("stereo.png", {"eye": "right"}),
    ],
)
def test_the_size_is_that_of_the_whole_panorama(tmp_path, name, options, max_width):
    path = write(tmp_path, name)
    panorama, size = load_with_size(path, max_width=max_width, **options)
    whole = load_equirectangular(path, **options)
    assert size == (whole.shape[2], whole.shape[1])
    assert torch.equal(panorama, load_equirectangular(path, max_width=max_width, **options))


@pytest.mark.filterwarnings("ignore::panollava_geometry.PanoramaWarning")
def test_the_size_of_an_estimated_part(tmp_path):
    path = write(tmp_path, "strip.jpg")
    whole = load_equirectangular(path, partial=True)
    assert load_with_size(path, max_width=64, partial=True)[1] == (whole.shape[2], whole.shape[1])


@pytest.mark.filterwarnings("ignore::panollava_geometry.PanoramaWarning")
@pytest.mark.parametrize("name", ["gpano_element_datatype.jpg", "gpano_two_packets.jpg", "gpano_zeros.jpg"])
def test_the_size_of_parts_that_the_file_describes(shared, name):
    path = shared / "cases" / name
    whole = load_equirectangular(path)
    for max_width in (None, 64):
        assert load_with_size(path, max_width=max_width)[1] == (whole.shape[2], whole.shape[1])


@pytest.mark.parametrize("kind", ["array", "tensor", "image", "bytes"])
def test_the_size_of_sources_of_every_kind(tmp_path, kind):
    pixels = seamless(64)
    source = {
        "array": pixels,
        "tensor": torch.from_numpy(pixels).permute(2, 0, 1),
        "image": Image.fromarray(pixels),
        "bytes": write(tmp_path, "plain.png").read_bytes(),
    }[kind]
    panorama, size = load_with_size(source, max_width=32)
    assert (panorama.shape, size) == ((3, 16, 32), (512, 256) if kind == "bytes" else (64, 32))


def test_options_are_checked_before_the_first_panorama():
    check_options(hfov_deg=200)
    with pytest.raises(PanoramaError, match="exclude each other"):
        check_options(hfov_deg=200, eye="left")
    with pytest.raises(PanoramaError, match="--hfov"):
        check_options(hfov_deg=361)
    with pytest.raises(PanoramaError, match="max_width must be at least 2"):
        load_with_size(seamless(64), max_width=1)
