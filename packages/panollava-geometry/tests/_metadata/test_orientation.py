"""The EXIF orientation: damaged EXIF, wrong values, and orientations left over from other images."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from panollava_geometry import PanoramaError, PanoramaWarning, load_equirectangular, load_views, plan_views
from PIL import Image


def exif_block(*entries, order="<"):
    """EXIF with entries (tag, type, count, four bytes or more of value); a longer value is put behind the entries."""
    data, values = struct.pack(order + "H", len(entries)), b""
    start = 8 + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", start + len(values))
        values += value if len(value) > 4 else b""
        data += struct.pack(order + "HHI", tag, kind, count) + place
    head = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    return b"Exif\0\0" + head + data + b"\0\0\0\0" + values


ORIENTATION_3 = (0x112, 3, 1, struct.pack("<H", 3))


@pytest.mark.parametrize(
    "entry",
    [
        (0x11A, 10, 1, struct.pack("<ii", -72, 1)),  # a signed rational as resolution
        (0x11A, 2, 6, b"72dpi\0"),  # text as resolution
        (0x11A, 5, 1, struct.pack("<II", 72, 0)),  # a division by zero
        (0x131, 2, 4, b"\xff\xfe\0\0"),  # text that is not UTF-8
        (0x8769, 4, 1, struct.pack("<I", 8)),  # an IFD that contains itself
        (0x9286, 7, 5, b"\0\1\2\3\4"),
    ],
    ids=["signed", "text", "zero", "bytes", "loop", "undefined"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_is_never_written_again(card, encoded, entry, kind):
    data = encoded(card.image().rotate(180), kind, quality=95, exif=exif_block(ORIENTATION_3, entry))
    panorama = load_equirectangular(data)
    assert card.read(panorama) == "ROYGCBPK"
    assert panorama[:, :8].min() > 240


@pytest.mark.parametrize(
    "entry",
    [
        (0x112, 1, 1, b"\3"),
        (0x112, 2, 2, b"3\0"),
        (0x112, 4, 1, struct.pack("<I", 3)),
        (0x112, 5, 1, struct.pack("<II", 3, 1)),
        (0x112, 8, 1, struct.pack("<h", 3)),
        (0x112, 12, 1, struct.pack("<d", 3)),
    ],
    ids=["byte", "text", "long", "rational", "signed", "double"],
)
def test_an_orientation_of_another_type(card, encoded, entry):
    data = encoded(card.image().rotate(180), "JPEG", quality=95, exif=exif_block(entry))
    panorama = load_equirectangular(data)
    assert card.read(panorama) == "ROYGCBPK"
    assert panorama[:, :8].min() > 240


def test_an_orientation_set_on_a_pillow_image(card):
    image = card.image().rotate(180)
    image.getexif()[0x112] = 3
    assert card.read(load_equirectangular(image)) == "ROYGCBPK"


@pytest.mark.parametrize("name", ["exif_signed_rational.jpg", "exif_text_resolution.jpg"])
def test_the_cases_with_odd_exif(card, shared, name):
    panorama = load_equirectangular(shared / "cases" / name)
    assert (panorama.shape, card.read(panorama)) == ((3, 256, 512), "ROYGCBPK")
    assert panorama[:, :16].min() > 240


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0garbage", b"Exif\0\0II*\0", exif_block(ORIENTATION_3)[:20], b"Exif\0\0II*\0\xff\xff\xff\xff"],
    ids=["garbage", "head", "cut", "far"],
)
def test_exif_that_cannot_be_parsed_does_not_prevent_reading(card, encoded, exif):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PanoramaWarning)
        assert card.read(load_equirectangular(encoded(card.image(), "JPEG", quality=95, exif=exif))) == "ROYGCBPK"


def test_unreadable_exif_is_noted(card, encoded):
    with pytest.warns(PanoramaWarning, match=r"its EXIF cannot be read .*; the image is used as it is stored"):
        load_equirectangular(encoded(card.image(), "JPEG", exif=b"Exif\0\0garbage"))


@pytest.mark.parametrize(
    "entry",
    [
        (0x112, 3, 1, struct.pack("<H", 0)),
        (0x112, 3, 1, struct.pack("<H", 9)),
        (0x112, 2, 4, b"six\0"),
        (0x112, 5, 1, struct.pack("<II", 13, 2)),
    ],
    ids=["0", "9", "text", "rational"],
)
def test_an_orientation_that_is_not_one_of_the_eight(card, encoded, entry):
    with pytest.warns(PanoramaWarning, match=r"EXIF orientation is .*, expected a number from 1 to 8"):
        loaded = load_equirectangular(encoded(card.image(), "JPEG", quality=95, exif=exif_block(entry)))
    assert card.read(loaded) == "ROYGCBPK"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_orientation_left_over_from_other_images(card, encoded, kind, orientation, order):
    exif = Image.Exif()
    exif[0x112] = orientation
    option = exif if kind == "TIFF" else exif_block((0x112, 3, 1, struct.pack(order + "H", orientation)), order=order)
    with pytest.warns(PanoramaWarning, match=rf"EXIF orientation {orientation} would make the image 128x256"):
        loaded = load_equirectangular(encoded(card.image(), kind, exif=option, quality=95))
    assert card.read(loaded) == "ROYGCBPK"
    assert loaded[:, :8].min() > 240


def test_the_case_with_a_left_over_orientation(card, shared):
    with pytest.warns(PanoramaWarning, match="EXIF orientation 6"):
        loaded = load_equirectangular(shared / "cases" / "orientation_6_already_upright.jpg")
    assert (loaded.shape, card.read(loaded)) == ((3, 256, 512), "ROYGCBPK")


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
def test_orientation_in_other_formats(card, encoded, kind, orientation):
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    stored = card.image().transpose(Image.Transpose(undo))
    assert card.read(load_equirectangular(encoded(stored, kind, exif=exif, quality=95))) == "ROYGCBPK"


def test_exif_behind_the_pixels_of_a_png(card, encoded):
    data = encoded(card.image().rotate(180))
    body = exif_block(ORIENTATION_3)[6:]
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    end = data.rindex(b"IEND") - 4
    assert card.read(load_equirectangular(data[:end] + chunk + data[end:])) == "ROYGCBPK"


def test_neither_stored_nor_turned_is_a_panorama(encoded):
    exif = exif_block((0x112, 3, 1, struct.pack("<H", 6)))
    data = encoded(np.zeros((60, 200, 3), np.uint8), "JPEG", exif=exif)
    with pytest.raises(PanoramaError, match=r"60x200 is not a full .* \(after turning it by its EXIF orientation 6\)"):
        load_views(data, plan_views("cubemap"), 8)
