"""Embedded ICC profiles are converted to sRGB; profiles that are sRGB or damaged leave the pixels as they are."""

import struct

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaWarning, load_equirectangular, load_views, plan_views
from PIL import Image, ImageCms

P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))


def icc_profile(space, tags):
    """A version 2 profile for a display or printer."""
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    kind, pcs = (b"prtr", b"Lab ") if space == b"CMYK" else (b"mntr", b"XYZ ")
    head = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(data), b"\0\0\0\0", 0x02100000, kind, space, pcs, bytes(12), b"acsp"
    )
    return head.ljust(68, b"\0") + xyz(0.9642, 1, 0.8249)[8:] + bytes(48) + table + data


def xyz(*values):
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def gamma(value):
    return struct.pack(">4sIIHxx", b"curv", 0, 1, round(value * 256))


def rgb_profile(primaries, exponent=2.2):
    text = b"sRGB built-in\0"  # the description is not to be trusted
    tags = {b"desc": struct.pack(">4sII", b"desc", 0, len(text)) + text + bytes(78), b"wtpt": xyz(0.9642, 1, 0.8249)}
    for letter, values in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[letter + b"XYZ"], tags[letter + b"TRC"] = xyz(*values), gamma(exponent)
    return icc_profile(b"RGB ", tags)


def grey_profile(exponent):
    return icc_profile(b"GRAY", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": gamma(exponent)})


def cmyk_profile():
    """Lightness falls with black only; the other inks do nothing."""
    line = bytes(range(256))
    grid = b"".join(bytes([0 if k & 1 else 255, 128, 128]) for k in range(16))
    table = struct.pack(">4sI4B9i", b"mft1", 0, 4, 3, 2, 0, *(65536 * (k % 4 == 0) for k in range(9)))
    return icc_profile(b"CMYK", {b"wtpt": xyz(0.9642, 1, 0.8249), b"A2B0": table + line * 4 + grid + line * 3})


def plain(colour, mode="RGB"):
    return Image.new(mode, (64, 32), colour)


def colour_of(panorama):
    return panorama[:, 16, 32].int().tolist()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_display_p3(encoded, kind):
    # sRGB (20, 200, 20) in Display P3 with gamma 2.2
    data = encoded(plain((97, 196, 62)), kind, icc_profile=rgb_profile(P3), quality=100)
    expected = np.linalg.inv(np.array(SRGB).T) @ np.array(P3).T @ (np.array([97, 196, 62]) / 255) ** 2.2
    expected = 255 * np.clip(expected, 0, 1) ** (1 / 2.2)
    for loaded in (load_equirectangular(data), load_equirectangular(data, max_width=32)[:, ::1].repeat(1, 2, 2)):
        assert np.abs(np.array(colour_of(loaded)) - expected).max() <= 10
    views = load_views(data, plan_views("cubemap"), 8)
    assert np.abs(views[0, :, 4, 4].numpy() - expected).max() <= 10


def test_the_case_in_display_p3(card, shared):
    assert card.read(load_equirectangular(shared / "cases" / "icc_display_p3.jpg")) == "ROYGCBPK"


@pytest.mark.parametrize("profile", ["lcms", "matrix"])
def test_srgb_profiles_change_nothing(photo_like, encoded, profile):
    image = Image.fromarray(photo_like[:, ::4, ::4].permute(1, 2, 0).contiguous().numpy())
    profiles = {"lcms": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "matrix": None}
    without = load_equirectangular(encoded(image, "JPEG"))
    assert torch.equal(load_equirectangular(encoded(image, "JPEG", icc_profile=profiles[profile])), without)


def test_grey_and_transparent_images(encoded):
    for mode, colour in (("L", 55), ("LA", (55, 255))):
        loaded = load_equirectangular(encoded(plain(colour, mode), icc_profile=grey_profile(1.0)))
        assert np.abs(np.array(colour_of(loaded)) - 128).max() <= 2  # linear 55 of 255 is 128 in sRGB
    rgba = plain((97, 196, 62, 128), "RGBA")
    opaque = load_equirectangular(encoded(plain((97, 196, 62)), icc_profile=rgb_profile(P3)))
    half = load_equirectangular(encoded(rgba, icc_profile=rgb_profile(P3)))
    assert (half * 2.0 - opaque).abs().max() <= 3  # converted first, then blended with black
    palette = plain((97, 196, 62)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert colour_of(load_equirectangular(encoded(palette, icc_profile=rgb_profile(P3)))) == colour_of(opaque)


def test_16_bit_grey(encoded):
    image = Image.fromarray(np.full((32, 64), 55 * 257, np.uint16))
    assert (
        np.abs(np.array(colour_of(load_equirectangular(encoded(image, icc_profile=grey_profile(1.0))))) - 128).max()
        <= 2
    )


def test_cmyk_through_its_profile(encoded):
    for ink, grey in (((255, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((200, 100, 0, 128), 118)):
        loaded = load_equirectangular(encoded(plain(ink, "CMYK"), "TIFF", icc_profile=cmyk_profile()))
        assert np.abs(np.array(colour_of(loaded)) - grey).max() <= 4
        without = load_equirectangular(encoded(plain(ink, "CMYK"), "TIFF"))
        assert colour_of(without) == list(plain(ink, "CMYK").convert("RGB").getpixel((0, 0)))


@pytest.mark.parametrize(
    "profile",
    [b"not a profile", rgb_profile(P3)[:200], grey_profile(1.0), cmyk_profile(), icc_profile(b"Luv ", {})],
    ids=["text", "cut", "grey", "cmyk", "luv"],
)
def test_profiles_that_cannot_be_used(encoded, profile):
    with pytest.warns(PanoramaWarning, match=r"colour profile cannot be used \(.+\); the colours are read as sRGB"):
        loaded = load_equirectangular(encoded(plain((97, 196, 62)), icc_profile=profile))
    assert colour_of(loaded) == [97, 196, 62]


def test_a_pillow_image_with_a_profile():
    image = plain((97, 196, 62))
    image.info["icc_profile"] = rgb_profile(P3)
    assert colour_of(load_equirectangular(image))[0] < 60
