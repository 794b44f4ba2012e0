"""NumPy arrays and Pillow images in, NumPy arrays and Pillow images out."""

import re

import numpy as np
import pytest
import torch
from panollava_geometry import (
    PanoramaError,
    PerspectiveView,
    cubemap_to_equirect,
    equirect_to_cubemap,
    extract_views,
    paste_views,
    plan_views,
    rotate_equirectangular,
)
from PIL import Image

PLAN = plan_views("cubemap")


@pytest.fixture
def rgb(noise_panorama):
    return noise_panorama.permute(1, 2, 0).numpy()


def test_images_are_what_arrays_are(rgb):
    image = Image.fromarray(rgb)
    views = extract_views(image, PLAN, (16, 24))
    assert all(view.mode == "RGB" and view.size == (24, 16) for view in views)
    arrays = extract_views(rgb, PLAN, (16, 24))
    np.testing.assert_array_equal(np.stack([np.asarray(view) for view in views]), arrays)
    back, coverage = paste_views(views, PLAN, 32)
    expected, counts = paste_views(arrays, PLAN, 32)
    np.testing.assert_array_equal(np.asarray(back), expected)
    np.testing.assert_array_equal(coverage, counts)
    turned = rotate_equirectangular(image, 10, 20, 30)
    np.testing.assert_array_equal(np.asarray(turned), rotate_equirectangular(rgb, 10, 20, 30))


def test_arrays_are_what_tensors_are(noise_panorama, rgb):
    tensor = noise_panorama
    for array, expected in (
        (rotate_equirectangular(rgb, 10, 20, 30), rotate_equirectangular(tensor, 10, 20, 30).permute(1, 2, 0)),
        (equirect_to_cubemap(rgb, 16), equirect_to_cubemap(tensor, 16).permute(0, 2, 3, 1)),
        (rotate_equirectangular(rgb[..., 0], 1.3), rotate_equirectangular(tensor[:1], 1.3)[0]),
        (rotate_equirectangular(rgb[None], 1.3), rotate_equirectangular(tensor[None], 1.3).permute(0, 2, 3, 1)),
    ):
        np.testing.assert_array_equal(array, expected.numpy())
        assert array.flags.c_contiguous
    faces = equirect_to_cubemap(tensor, 16)
    joined = cubemap_to_equirect(faces.permute(0, 2, 3, 1).numpy(), 32)
    np.testing.assert_array_equal(joined, cubemap_to_equirect(faces, 32).permute(1, 2, 0).numpy())
    views = torch.rand(6, 2, 8, 8)
    pasted, counts = paste_views(views.permute(0, 2, 3, 1).numpy(), PLAN, 16)
    expected, coverage = paste_views(views, PLAN, 16)
    np.testing.assert_array_equal(pasted, expected.permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(counts, coverage.numpy())
    pasted, _ = paste_views(list(views[:, 0].numpy()), PLAN, 16)
    np.testing.assert_array_equal(pasted, expected[0].numpy())


def test_uint8_views_are_rounded(noise_panorama):
    views = extract_views(noise_panorama, PLAN, 16)
    pasted, _ = paste_views(views, PLAN, 32)
    expected, _ = paste_views(views.float(), PLAN, 32)
    assert pasted.dtype == torch.uint8
    assert torch.equal(pasted, expected.round().to(torch.uint8))


@pytest.mark.parametrize(
    "mode", ["L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "F", "1", "P", "PA", "I", "I;16", "I;16B", "HSV"]
)
def test_every_mode_with_nearest(mode):
    rng = np.random.default_rng(0)
    channels = len(Image.new(mode, (1, 1)).getbands())
    itemsize = {"F": 4, "I": 4, "I;16": 2, "I;16B": 2}.get(mode, 1)
    if mode == "1":
        image = Image.fromarray(rng.random((32, 64)) > 0.5)
    else:
        image = Image.frombytes(mode, (64, 32), rng.integers(0, 100, 32 * 64 * channels * itemsize, np.uint8).tobytes())
    if mode in ("P", "PA"):
        image.putpalette(bytes(range(256)) * 3)
    turned = rotate_equirectangular(image, 90, interpolation="nearest")
    assert turned.mode == mode
    np.testing.assert_array_equal(np.asarray(turned), np.roll(np.asarray(image), -16, axis=1))
    if mode in ("P", "PA"):
        assert turned.getpalette() == image.getpalette()
    views = extract_views(image, PLAN, 16, interpolation="nearest")
    back, _ = paste_views(views, PLAN, 32, interpolation="nearest", fill=1)
    assert back.mode == mode
    assert back.size == (64, 32)
    expected = np.unique(np.asarray(image))
    assert np.isin(np.asarray(back), expected).all()


def test_a_label_image_with_palette_stays_one():
    labels = np.random.default_rng(0).integers(0, 21, (32, 64)).astype(np.uint8)
    image = Image.fromarray(labels).convert("L")
    image.putpalette([channel for index in range(256) for channel in (index, 255 - index, index // 2)])
    image.info["transparency"] = 0
    (view,) = extract_views(image, PerspectiveView(0), 16, interpolation="nearest")
    assert view.mode == "P"
    assert view.getpalette() == image.getpalette()
    assert view.info["transparency"] == 0
    expected = extract_views(labels, PerspectiveView(0), 16, interpolation="nearest")[0]
    np.testing.assert_array_equal(np.asarray(view), expected)


def test_the_colour_profile_stays(rgb):
    image = Image.fromarray(rgb)
    image.info["icc_profile"] = b"a profile"
    (view,) = extract_views(image, PerspectiveView(0), 8)
    assert view.info == {"icc_profile": b"a profile"}


def test_arrays_are_not_copied_to_be_read():
    from panollava_geometry._arrays._containers import open_panorama

    for array in (np.zeros((8, 16, 3), np.uint8), np.zeros((8, 16), np.int64)):
        tensor = open_panorama(array, "nearest").tensor
        assert tensor.data_ptr() == array.__array_interface__["data"][0]


@pytest.mark.usefixtures("uninstrumented")
@pytest.mark.parametrize(
    ("views", "message"),
    [
        ([Image.new("L", (4, 4))] * 5 + [Image.new("RGB", (4, 4))], "images of one mode, got ['L', 'RGB']"),
        ([Image.new("L", (4, 4))] * 5 + [Image.new("L", (4, 5))], "views must have one shape and dtype"),
        ([np.zeros((4, 4))] * 5, "views must be [..., 6 views"),
        (np.zeros((4, 4)), "an array of views must be [V, h, w] or [V, h, w, channels], got (4, 4)"),
        (
            np.zeros((6, 4, 4), np.int64),
            "an array of views must be uint8, float16, float32, float64, got int64: convert",
        ),
        ([Image.new("P", (4, 4))] * 6, "mode P cannot be averaged"),
        (Image.new("L", (4, 4)), "expected views as a tensor"),
        (
            [Image.new("I;16", (4, 4))] * 6,
            "mode I;16 cannot be averaged: pass np.asarray(image, np.float32), or interpol",
        ),
        ([], "expected views as a tensor"),
        (["a.jpg"] * 6, "expected views as a tensor"),
    ],
)
def test_views_that_cannot_be_pasted(views, message):
    with pytest.raises(PanoramaError, match=re.escape(message)):
        paste_views(views, PLAN, 16)


def test_a_damaged_image_is_one_error(encoded, rgb):
    import io

    image = Image.open(io.BytesIO(encoded(rgb)[:2000]))
    with pytest.raises(PanoramaError, match=r"the image cannot be read .*; open the file again"):
        extract_views(image, PLAN, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: extract_views(np.zeros((8, 16, 0)), PLAN, 4), "at least one channel, got shape (0, 8, 16)"),
        (
            lambda: extract_views(np.ma.zeros((8, 16)), PLAN, 4),
            "a panorama array cannot be masked: call .filled(value)",
        ),
        (
            lambda: paste_views(torch.zeros(6, 1, 0, 0), PLAN, 4),
            "views must be [..., 6 views, channels, height, width]",
        ),
        (lambda: cubemap_to_equirect(torch.zeros(6, 1, 0, 0), 4), "a cubemap must be [..., 6, channels, width, width]"),
        (lambda: rotate_equirectangular(np.zeros((8, 16)), float("nan")), "yaw_deg must be a finite number of degrees"),
        (lambda: rotate_equirectangular(np.zeros((8, 16)), 0, float("inf")), "pitch_deg must be a finite number"),
    ],
)
def test_empty_masked_and_endless(call, message):
    with pytest.raises(PanoramaError, match=re.escape(message)):
        call()


def test_unusual_arrays():
    array = np.random.default_rng(0).random((8, 16))
    expected = extract_views(array, PLAN, 4)
    for same in (np.asfortranarray(array), array[::-1, ::-1][::-1, ::-1], array.astype(">f8"), array.view(np.matrix)):
        np.testing.assert_array_equal(extract_views(same, PLAN, 4), expected)
