"""Saying what an image shows: the whole sphere, a part of it, or two eyes."""

import math

import numpy as np
import pytest
from panollava_geometry import (
    PanoramaError,
    PanoramaWarning,
    load_equirectangular,
    load_views,
    plan_views,
)
from panollava_geometry._metadata._layout import Layout
from PIL import Image


def test_the_whole_sphere_in_any_shape(card, encoded):
    for size in ((256, 100), (200, 200), (100, 300)):
        data = encoded(card.image().resize(size, Image.Resampling.NEAREST))
        loaded = load_equirectangular(data, whole_sphere=True)
        width = max(size[0], 2 * size[1])
        assert (loaded.shape, card.read(loaded)) == ((3, width // 2, width), "ROYGCBPK")
    assert load_equirectangular(Image.new("RGB", (90, 90)), whole_sphere=True, max_width=64).shape == (3, 32, 64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_horizontal_field_of_view(card, encoded, kind):
    data = encoded(card.part(), kind, quality=95)  # 180° x 90°
    loaded, mask = load_equirectangular(data, hfov_deg=180, return_mask=True)
    assert (loaded.shape, card.read(loaded), mask.float().mean()) == ((3, 128, 256), "__YGCB__", 0.25)
    views, seen = load_views(data, plan_views("cubemap"), 16, hfov_deg=180.0, return_mask=True)
    assert views.shape == (6, 3, 16, 16)
    assert seen[0, 1:-1].all()
    assert not seen[2].any()
    assert not seen[4, 6:10, 6:10].any()
    narrow, mask = load_equirectangular(data, hfov_deg=90, return_mask=True)
    assert (narrow.shape, mask.float().mean()) == ((3, 256, 512), 1 / 16)


def test_a_closed_strip(card, encoded):
    data = encoded(card.image().crop((0, 32, 256, 96)))
    loaded, mask = load_equirectangular(data, hfov_deg=360, return_mask=True)
    assert (loaded.shape, card.read(loaded), mask.float().mean()) == ((3, 128, 256), "ROYGCBPK", 0.5)
    full = load_equirectangular(encoded(card.image()), hfov_deg=360, return_mask=True)
    assert card.read(full[0]) == "ROYGCBPK"
    assert full[1].all()


@pytest.mark.parametrize("hfov_deg", [0, -90, 361, math.nan, math.inf, "wide", True])
def test_fields_of_view_that_are_not_possible(hfov_deg):
    with pytest.raises(Exception, match=r"hfov_deg"):
        Layout(hfov_deg=hfov_deg)


@pytest.mark.parametrize("hfov_deg", [1e-6, 1e-300, 1e-320])
def test_a_field_of_view_too_small_to_compute_with(encoded, hfov_deg):
    with pytest.raises(PanoramaError, match=r"field of view of .*° is too small") as caught:
        load_equirectangular(encoded(np.zeros((10, 30, 3), np.uint8)), hfov_deg=hfov_deg)
    assert len(str(caught.value)) < 200


def test_an_image_cannot_be_higher_than_the_sphere(encoded):
    data = encoded(np.zeros((200, 100, 3), np.uint8))
    with pytest.raises(PanoramaError, match=r"is 240° high, more than 180°; hfov_deg \(--hfov\) can be at most 90 "):
        load_equirectangular(data, hfov_deg=120)
    assert load_equirectangular(data, hfov_deg=90).shape == (3, 200, 400)


def exif_focal_length(millimetres):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = millimetres
    return exif


def covered_deg(mask):
    """Degrees of longitude and latitude that a mask shows."""
    return 360 * mask.any(0).float().mean().item(), 180 * mask.any(1).float().mean().item()


def test_a_partial_panorama_of_unknown_field_of_view(photo_like, encoded):
    part = photo_like[:, 150:350, 100:800].permute(1, 2, 0).contiguous().numpy()  # 700 x 200
    for exif, short_side in ((None, 65), (exif_focal_length(26), 2 * math.degrees(math.atan(18 / 26)))):
        data = encoded(part, "JPEG", **({} if exif is None else {"exif": exif}))
        said = rf"field of view is not known; {short_side * 3.5:.0f}° is assumed, .* {short_side:.0f}°.*; pass hfov_deg"
        with pytest.warns(PanoramaWarning, match=said):
            _, mask = load_equirectangular(data, partial=True, return_mask=True)
        assert covered_deg(mask) == pytest.approx((3.5 * short_side, short_side), abs=1)
    with pytest.warns(PanoramaWarning, match="51° is assumed"):
        _, mask = load_equirectangular(encoded(np.rot90(part).copy()), partial=True, return_mask=True)
    assert covered_deg(mask) == pytest.approx((180 / 3.5, 180), abs=1)  # as wide as a height of 180° allows


def test_a_closed_strip_is_recognised(photo_like, encoded):
    strip = photo_like[:, 150:350].permute(1, 2, 0).contiguous().numpy()
    with pytest.warns(PanoramaWarning, match="360° is assumed, because its left and right edges meet"):
        _, mask = load_equirectangular(encoded(strip, "JPEG"), partial=True, return_mask=True)
    assert covered_deg(mask) == pytest.approx((360, 70.3), abs=1)
    _, mask = load_equirectangular(
        encoded(strip, "JPEG"), partial=True, hfov_deg=200, return_mask=True
    )  # without a note
    assert covered_deg(mask)[0] == pytest.approx(200, abs=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("arrangement", ["top-bottom", "side-by-side"])
def test_one_eye_of_a_stereo_panorama(card, encoded, kind, arrangement):
    left, right = card.image(), Image.fromarray(np.roll(np.array(card.image()), 64, 1))
    across = arrangement == "side-by-side"
    both = Image.new("RGB", (512, 128) if across else (256, 256))
    both.paste(left, (0, 0))
    both.paste(right, (256, 0) if across else (0, 128))
    data = encoded(both, kind, quality=95)
    assert card.read(load_equirectangular(data, eye="left")) == "ROYGCBPK"
    assert card.read(load_equirectangular(data, eye="right")) == "PKROYGCB"
    assert card.read(load_equirectangular(data, eye="right", max_width=64)) == "PKROYGCB"
    views = load_views(data, plan_views("cubemap"), 16, eye="right")
    assert views[0, :, 8, 7].tolist() == pytest.approx([220, 130, 20], abs=45)
    both_readings = {
        "top-bottom": ["a square image is either stereo", "above the other", "not a full panorama"],
        "side-by-side": ["a 4:1 image is either stereo", "side by side", "a part of a panorama"],
    }
    with pytest.raises(PanoramaError, match=r"then pass eye='left' \(--eye left\)") as caught:
        load_equirectangular(data)
    assert all(words in str(caught.value) for words in both_readings[arrangement])


def test_an_image_that_is_not_stereo(card, encoded):
    with pytest.raises(PanoramaError, match="256x128 is not a stereo panorama"):
        load_equirectangular(encoded(card.image()), eye="left")


@pytest.mark.parametrize("size", [(1400, 400), (2048, 624), (640, 480)])
def test_the_refusal_says_what_to_do(encoded, size):
    with pytest.raises(PanoramaError, match=r"hfov_deg \(--hfov DEGREES\) or partial=True \(--partial\)") as caught:
        load_equirectangular(encoded(Image.new("RGB", size)))
    assert f"{size[0]}x{size[1]}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_one_layout_at_a_time():
    with pytest.raises(PanoramaError, match="whole_sphere and eye exclude each other"):
        load_equirectangular(np.zeros((8, 16), np.uint8), whole_sphere=True, eye="left")


def test_metadata_is_ignored_where_the_user_says_what_the_image_shows(card, encoded):
    packet = b'<x GPano:FullPanoWidthPixels="5" GPano:ProjectionType="cubemap"/>'
    data = encoded(card.part(), "JPEG", quality=95, xmp=packet)
    assert card.read(load_equirectangular(data, hfov_deg=180)) == "__YGCB__"
    with pytest.raises(PanoramaError, match="projection"):
        load_equirectangular(data)
