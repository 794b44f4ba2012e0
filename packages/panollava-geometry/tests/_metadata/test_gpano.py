"""Partial panoramas with GPano metadata."""

import re
import struct
import time

import numpy as np
import pytest
import torch
from panollava_geometry import (
    PanoramaError,
    PanoramaWarning,
    extract_views,
    load_equirectangular,
    load_views,
    plan_views,
)
from panollava_geometry._sources._xmp import properties
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo


def xmp(**fields):
    attributes = " ".join(f'GPano:{name}="{value}"' for name, value in fields.items())
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {attributes}/></x:xmpmeta>'.encode()


def area(full, size, left, top, **more):
    return xmp(
        FullPanoWidthPixels=full[0],
        FullPanoHeightPixels=full[1],
        CroppedAreaImageWidthPixels=size[0],
        CroppedAreaImageHeightPixels=size[1],
        CroppedAreaLeftPixels=left,
        CroppedAreaTopPixels=top,
        **more,
    )


def png_xmp():
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", area((2048, 1024), (1024, 512), 512, 256).decode())
    return info


def test_a_partial_panorama_is_placed_on_the_sphere(rgb_array, encoded):
    part = np.ascontiguousarray(rgb_array[256:768, 512:1536])
    for kind, limit in (("PNG", 0), ("JPEG", 12)):
        info = {"xmp": area((2048, 1024), (1024, 512), 512, 256)} if kind == "JPEG" else {"pnginfo": png_xmp()}
        loaded, mask = load_equirectangular(encoded(part, kind, **info), return_mask=True)
        assert loaded.shape == (3, 1024, 2048)
        inside = loaded[:, 256:768, 512:1536].int()
        assert (inside - torch.from_numpy(part).permute(2, 0, 1).int()).abs().max() <= limit
        assert mask.sum() == 512 * 1024
        assert mask[256:768, 512:1536].all()
        assert not loaded[:, :256].any()


def test_the_area_scales_with_the_decode(rgb_array, encoded):
    part = np.ascontiguousarray(rgb_array[256:768, 512:1536])
    data = encoded(part, "JPEG", xmp=area((2048, 1024), (1024, 512), 512, 256))
    views, seen = load_views(data, plan_views("cubemap"), 24, return_mask=True)
    assert seen[0, 1:-1, 1:-1].all()
    assert not seen[2].any()
    assert not seen[4, 8:16, 8:16].any()
    full = extract_views(torch.from_numpy(rgb_array).permute(2, 0, 1), plan_views("cubemap"), 24)
    assert (views[0, :, 2:-2, 2:-2].int() - full[0, :, 2:-2, 2:-2].int()).abs().max() <= 8


def test_an_area_of_the_full_sphere_changes_nothing(rgb_array, encoded):
    small = np.ascontiguousarray(rgb_array[::8, ::8])
    data = encoded(small, "JPEG", xmp=area((256, 128), (256, 128), 0, 0), quality=95)
    assert torch.equal(load_equirectangular(data), load_equirectangular(encoded(small, "JPEG", quality=95)))


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (area((64, 32), (64, 32), 40, 0), "contradict each other"),
        (area((64, 20), (32, 16), 0, 0), "contradict each other"),
        (area((64, 32), ("many", 16), 0, 0), "not numbers"),
        (area((64, 32), (32, 32), 0, 0), "GPano metadata says 32x32"),
        (area((2 * 10**6, 10**6), (32, 16), 0, 0), "too large"),
        (area((64, 32), (32, 16), 0, 0, ProjectionType="cylindrical"), "projection is 'cylindrical'"),
    ],
)
def test_invalid_metadata(encoded, packet, message):
    with pytest.raises(PanoramaError, match=message):
        load_equirectangular(encoded(np.zeros((16, 32, 3), np.uint8), "JPEG", xmp=packet))


GOOD = dict(
    FullPanoWidthPixels=256,
    FullPanoHeightPixels=128,
    CroppedAreaImageWidthPixels=128,
    CroppedAreaImageHeightPixels=64,
    CroppedAreaLeftPixels=64,
    CroppedAreaTopPixels=32,
)
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
GPANO = "http://ns.google.com/photos/1.0/panorama/"


def packet(inside, declared=f'xmlns:GPano="{GPANO}"', attributes="", before=""):
    return (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{before}<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f"<rdf:RDF {RDF}>"
        f"<rdf:Description {declared} {attributes}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    )


def elements(prefix="GPano:", start="", end="", attributes=""):
    return "".join(f"<{prefix}{name}{attributes}>{start}{value}{end}</{prefix}{name}>" for name, value in GOOD.items())


def attributes(prefix="GPano:", quote='"', fields=GOOD):
    return " ".join(f"{prefix}{name} = {quote}{value}{quote}" for name, value in fields.items())


SPELLINGS = {
    "attributes": packet("", attributes=attributes()),
    "single quotes": packet("", attributes=attributes(quote="'")),
    "elements": packet(elements()),
    "datatype": packet(elements(attributes=' rdf:datatype="http://www.w3.org/2001/XMLSchema#integer"')),
    "white space": packet(elements(start="\n  ", end="\n  ", attributes="\n ")),
    "comment": packet(elements(start="<!-- <x> -->")),
    "cdata": packet(elements(start="<![CDATA[", end="]]>")),
    "rdf:value": packet(elements(start="<rdf:value>", end="</rdf:value>", attributes=' rdf:parseType="Resource"')),
    "alternatives": packet(
        elements(
            start='<rdf:Alt><rdf:li xml:lang="x-default">',
            end='</rdf:li><rdf:li xml:lang="ko">9</rdf:li></rdf:Alt>',
        )
    ),
    "sequence": packet(elements(start="<rdf:Seq><rdf:li>", end="</rdf:li><rdf:li>0</rdf:li></rdf:Seq>")),
    "references": packet(elements().replace("256", "&#50;&#x35;6")),
    "decimals": packet("", attributes=attributes(fields={name: f" {value}.0 " for name, value in GOOD.items()})),
    "other prefix": packet(elements("pano:"), declared=f'xmlns:pano="{GPANO}"'),
    "no slash": packet(elements("p:"), declared=f"xmlns:p='{GPANO.rstrip('/')}'"),
    "default namespace": packet(elements("", attributes=f' xmlns="{GPANO}"')),
    "two descriptions": packet("</rdf:Description><rdf:Description xmlns:p='" + GPANO + "' " + attributes("p:") + ">"),
    "split": packet(
        elements().split("<GPano:CroppedAreaLeft")[0]
        + f"</rdf:Description><rdf:Description xmlns:GPano='{GPANO}'>"
        + "<GPano:CroppedAreaLeft"
        + elements().split("<GPano:CroppedAreaLeft")[1]
    ),
    "prefix of another namespace first": packet(
        elements("GPano:").replace(">64<", ">0<").replace(">32<", ">0<")
        + f"</rdf:Description><rdf:Description xmlns:g='{GPANO}'>"
        + elements("g:"),
        declared='xmlns:GPano="http://example.com/"',
    ),
    "greater-than in a value": packet(elements(), attributes='GPano:Note="a > b"'),
    "damaged": packet("<broken " + elements()).replace("</rdf:RDF>", ""),
    "document type": packet(elements(), before='<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "x">]>'),
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_of_the_fields(card, encoded, text):
    loaded, mask = load_equirectangular(encoded(card.part(), "JPEG", quality=95, xmp=text.encode()), return_mask=True)
    assert (loaded.shape, card.read(loaded)) == ((3, 128, 256), "__YGCB__")
    assert mask.float().mean() == 0.25


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_encodings(card, encoded, encoding):
    data = packet(elements()).replace("\ufeff", "").encode(encoding)
    for space in (b"", " \n".encode(encoding.removesuffix("-sig")) if encoding[-1] in "e8" else b""):
        loaded = load_equirectangular(encoded(card.part(), "JPEG", quality=95, xmp=space + data))
        assert card.read(loaded) == "__YGCB__"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-be"])
def test_an_encoding_with_letters_of_any_script(card, encoded, encoding):
    text = packet(elements(), attributes='dc:title="\uc815\uc6d0 \u5ead" dc:x="\u5ead"')
    for data in (text.encode(encoding), text.replace("\ufeff", "").encode(encoding)):
        assert card.read(load_equirectangular(encoded(card.part(), "JPEG", quality=95, xmp=data))) == "__YGCB__"


@pytest.mark.parametrize("padding", [b"\0", b"\0\0", b"\0\0\0\0", b" \0"])
def test_zero_bytes_in_front_of_a_packet(card, encoded, padding):
    data = padding + packet(elements()).replace("\ufeff", "").encode()
    assert card.read(load_equirectangular(encoded(card.part(), "JPEG", quality=95, xmp=data))) == "__YGCB__"


def app1(data, *contents):
    """A JPEG with more APP1 segments, in front of the others."""
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content for content in contents)
    return data[:2] + segments + data[2:]


def behind(data, *contents):
    """A JPEG with more APP1 segments behind its first APP1 segment."""
    at = data.index(b"\xff\xe1")
    at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return data[:at] + app1(b"..", *contents)[2:] + data[at:]


XAP = b"http://ns.adobe.com/xap/1.0/\0"


def test_every_packet_is_read(card, encoded):
    other = XAP + packet("", attributes='xmp:CreatorTool="x"').encode()
    good = packet(elements()).encode()
    wrong = XAP + packet(elements().replace("256", "0")).encode()
    data = encoded(card.part(), "JPEG", quality=95, xmp=good)
    for file in (data, app1(data, other), behind(data, other), behind(data, wrong), app1(data, wrong)):
        assert card.read(load_equirectangular(file)) == "__YGCB__"


def test_extended_packets_are_put_together(card, encoded):
    text = packet(elements()).encode()
    half = len(text) // 2
    parts = [
        b"http://ns.adobe.com/xmp/extension/\0"
        + b"A" * 32
        + struct.pack(">II", len(text), start)
        + text[start:][: half + 1]
        for start in (half, 0)
    ]
    parts[1] = parts[1][: 75 + half]
    data = app1(encoded(card.part(), "JPEG", quality=95), *parts)
    assert card.read(load_equirectangular(data)) == "__YGCB__"


RAW = "Raw profile type "


@pytest.mark.parametrize("key", ["XML:com.adobe.xmp", RAW + "xmp", RAW + "APP1", RAW + "XMP", RAW + "app1"])
@pytest.mark.parametrize("compressed", [True, False])
def test_text_chunks_of_a_png(card, encoded, key, compressed):
    text = packet(elements()).replace("\ufeff", "")
    info = PngInfo()
    if key.startswith("Raw"):
        raw = (XAP if key.lower().endswith("app1") else b"") + text.encode()
        digits = re.sub("(.{72})", r"\1\n", raw.hex())
        profile = f"\n{key.split()[-1].lower()}\n{len(raw):8}\n{digits}\n"
        info.add_text(key, profile if compressed else profile.replace("\n", "\r\n"), zip=compressed)
    else:
        info.add_itxt(key, text, zip=compressed)
    assert card.read(load_equirectangular(encoded(card.part(), pnginfo=info))) == "__YGCB__"


def test_webp_and_avif(card, encoded):
    for kind in ("WEBP", "AVIF"):
        if features.check(kind.lower()):
            data = encoded(card.part(), kind, quality=95, xmp=packet(elements()).encode())
            assert card.read(load_equirectangular(data)) == "__YGCB__"


def tiff(image, kind, value, order):
    """An uncompressed TIFF whose tag 700 has a type, and the bytes of `value` as its numbers."""
    size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}[kind]
    pixels, bits = image.tobytes(), struct.pack(order + "3H", 8, 8, 8)
    value = value[: len(value) // size * size]
    places = [8, 8 + len(pixels), 8 + len(pixels) + 6]
    entries = [
        (256, 3, 1, image.width),
        (257, 3, 1, image.height),
        (258, 3, 3, places[1]),
        (262, 3, 1, 2),
        (273, 4, 1, places[0]),
        (277, 3, 1, 3),
        (278, 3, 1, image.height),
        (279, 4, 1, len(pixels)),
        (700, kind, len(value) // size, places[2]),
    ]
    directory = struct.pack(order + "H", len(entries))
    for tag, of, count, number in entries:
        number = struct.pack(order + "HH", number, 0) if of == 3 and count == 1 else struct.pack(order + "I", number)
        directory += struct.pack(order + "HHI", tag, of, count) + number
    body = pixels + bits + value + b"\0" * (len(value) % 2)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(body))
    return head + body + directory + bytes(4)


TIFF_TYPES = {
    1: True,
    2: True,
    3: True,
    4: True,
    5: False,
    6: True,
    7: True,
    8: True,
    9: True,
    10: False,
    11: False,
    12: False,
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "recovered"), TIFF_TYPES.items())
def test_the_tag_of_a_tiff_in_any_type(card, kind, recovered, order):
    text = packet(elements()).replace("\ufeff", "").encode()
    loaded = load_equirectangular(tiff(card.part() if recovered else card.image(), kind, text, order))
    assert card.read(loaded) == ("__YGCB__" if recovered else "ROYGCBPK")
    assert card.read(load_equirectangular(tiff(card.image(), kind, bytes(8), order))) == "ROYGCBPK"


@pytest.mark.parametrize("name", ["gpano_element_datatype.jpg", "gpano_two_packets.jpg"])
def test_the_cases_of_partial_panoramas(card, shared, name):
    loaded, mask = load_equirectangular(shared / "cases" / name, return_mask=True)
    assert (loaded.shape, card.read(loaded)) == ((3, 256, 512), "__YGCB__")
    assert mask.float().mean() == 0.25


def test_the_cases_of_useless_sizes(card, shared):
    with pytest.warns(PanoramaWarning, match="GPano metadata has sizes that are not positive"):
        loaded = load_equirectangular(shared / "cases" / "gpano_zeros.jpg")
    assert (loaded.shape, card.read(loaded)) == ((3, 256, 512), "ROYGCBPK")
    with pytest.raises(
        PanoramaError, match=r"FullPanoHeightPixels \(128\) must be half of FullPanoWidthPixels \(512\)"
    ):
        load_equirectangular(shared / "cases" / "gpano_full_height_is_crop_height.jpg")


@pytest.mark.parametrize("value", [0, -1, "0.0", "-4096", "", "NaN", "auto"])
def test_sizes_that_say_nothing(card, encoded, value):
    xmp = packet("", attributes=attributes(fields=dict.fromkeys(GOOD, value))).encode()
    with pytest.warns(
        PanoramaWarning, match="sizes that are not positive; the image is 2:1 and is read as the full sphere"
    ):
        assert card.read(load_equirectangular(encoded(card.image(), "JPEG", quality=95, xmp=xmp))) == "ROYGCBPK"
    with pytest.raises(PanoramaError, match=r"is not a full .* \(its GPano metadata has sizes that are not positive\)"):
        load_equirectangular(encoded(card.image().crop((0, 0, 256, 64)), "JPEG", xmp=xmp))


def test_missing_fields_are_named(card, encoded):
    some = {name: value for name, value in GOOD.items() if "Top" not in name and "Left" not in name}
    xmp = packet("", attributes=attributes(fields=some)).encode()
    lacks = r"GPano metadata lacks CroppedAreaLeftPixels, CroppedAreaTopPixels"
    with pytest.raises(PanoramaError, match=lacks):
        load_equirectangular(encoded(card.image().crop((0, 0, 256, 64)), "JPEG", xmp=xmp))
    with pytest.warns(PanoramaWarning, match=lacks):
        load_equirectangular(encoded(card.image(), "JPEG", xmp=xmp))
    xmp = packet("", attributes='GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="x"').encode()
    assert card.read(load_equirectangular(encoded(card.image(), "JPEG", quality=95, xmp=xmp))) == "ROYGCBPK"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"FullPanoHeightPixels": 64}, r"FullPanoHeightPixels \(64\) must be half of FullPanoWidthPixels \(256\)"),
        (
            {"CroppedAreaImageWidthPixels": 300},
            r"CroppedAreaLeftPixels \+ CroppedAreaImageWidthPixels \(64 \+ 300\) must",
        ),
        ({"CroppedAreaTopPixels": 100}, r"CroppedAreaTopPixels \+ CroppedAreaImageHeightPixels \(100 \+ 64\) must be"),
        ({"CroppedAreaLeftPixels": -9}, r"CroppedAreaLeftPixels \(-9\) and .* must not be negative"),
        *(
            ({"FullPanoWidthPixels": text}, "FullPanoWidthPixels is")
            for text in ("nan", "inf", "1e400", "2,048", "&b;", "")
        ),
    ],
)
def test_wrong_fields_are_named(encoded, card, changes, message):
    if changes.get("FullPanoWidthPixels") == "":
        message = "FullPanoWidthPixels is ''"
    xmp = packet("", attributes=attributes(fields={**GOOD, **changes})).encode()
    with pytest.raises(PanoramaError, match=message) as caught:
        load_equirectangular(encoded(card.part(), "JPEG", xmp=xmp))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("projection", ["cubemap", "cylindrical", "fisheye"])
def test_other_projections_in_any_spelling(encoded, card, projection):
    xmp = packet(f"<p:ProjectionType>{projection}</p:ProjectionType>", declared=f'xmlns:p="{GPANO}"').encode()
    with pytest.raises(PanoramaError, match=f"the GPano projection is '{projection}'"):
        load_equirectangular(encoded(card.image(), "JPEG", xmp=xmp))


def test_a_left_over_orientation_of_a_partial_panorama(card, encoded):
    exif = Image.Exif()
    exif[0x112] = 8
    data = encoded(card.part(), "JPEG", quality=95, xmp=packet(elements()).encode(), exif=exif)
    with pytest.warns(PanoramaWarning, match="the EXIF orientation 8 would make the image 64x128"):
        assert card.read(load_equirectangular(data)) == "__YGCB__"


HOSTILE = [
    "<",
    "<a ",
    "<a b=",
    "<a b='",
    "<!--",
    "<?",
    "<![CDATA[",
    "</",
    "<a xmlns:b='c'>",
    "&lt;",
    " \n",
    "<a b='c' ",
    "a\0",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_time_for_hostile_packets_is_linear(text):
    """Four times the packet takes about four times as long; it would be 16 times if the scan were quadratic."""

    def seconds(size: int) -> float:
        packet = "<x>GPano" + text * (size // len(text))
        start = time.process_time()
        properties(packet, lambda address, prefix: prefix == "GPano")
        return time.process_time() - start

    small, large = (min(seconds(size) for _ in range(3)) for size in (2**14, 2**16))
    assert large < 10 * max(small, 0.002)
