"""Images: damaged and hostile files of all formats, EXIF, ICC profiles, GPano in XMP, TIFF tags, Ghostscript."""

import io
import random
import struct
import zlib
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tools.attack._commands import ASKED, command
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import NUMBERS, TEXTS, mutate_bytes, mutate_text

XMP = b"http://ns.adobe.com/xap/1.0/\0"
GPANO = {
    "ProjectionType": "equirectangular",
    "FullPanoWidthPixels": 128,
    "FullPanoHeightPixels": 64,
    "CroppedAreaImageWidthPixels": 64,
    "CroppedAreaImageHeightPixels": 32,
    "CroppedAreaLeftPixels": 32,
    "CroppedAreaTopPixels": 16,
}


@cache
def base(form: str) -> bytes:
    """A small panorama in a format, with EXIF, an ICC profile and XMP where the format takes them."""
    from PIL import Image, ImageCms

    rng = random.Random(0)
    image = Image.frombytes("RGB", (64, 32), bytes(rng.randrange(256) for _ in range(64 * 32 * 3)))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 3, "maker", 72.0
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stream = io.BytesIO()
    settings: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    if form == "JPEG":
        image.save(stream, form, **settings, xmp=packet(GPANO).encode())
    elif form in ("PNG", "WEBP"):
        image.save(stream, form, **settings)
    elif form == "TIFF":
        image.save(stream, form, icc_profile=profile, compression="tiff_adobe_deflate")
    else:
        image.save(stream, form)
    return stream.getvalue()


def packet(fields: dict[str, Any], *, elements: bool = False, prefix: str = "GPano") -> str:
    """An XMP packet with GPano fields."""
    space = f'xmlns:{prefix}="http://ns.google.com/photos/1.0/panorama/"'
    if elements:
        inside = "".join(f"<{prefix}:{name}>{value}</{prefix}:{name}>" for name, value in fields.items())
        body = f"<rdf:Description {space}>{inside}</rdf:Description>"
    else:
        inside = " ".join(f'{prefix}:{name}="{value}"' for name, value in fields.items())
        body = f"<rdf:Description {space} {inside}/>"
    rdf = f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{body}</rdf:RDF>'
    return f'<?xpacket begin="\ufeff"?><x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta><?xpacket end="w"?>'


def load(folder: Path, attempt: Attempt) -> None:
    """Load the bytes, the file, or the file through `ask`; the input says which."""
    from panollava_geometry import load_equirectangular

    (path,) = folder.iterdir()
    how = attempt.values.get("how", 0)
    if how == 0:
        load_equirectangular(path.read_bytes(), return_mask=True)
    elif how == 1:
        load_equirectangular(path, max_width=32)
    elif how == 2:
        command(["crop", str(path), "-o", str(folder / "out"), "--num-views", "2", "--size", "8"])
    else:
        command(["ask", str(path), "What is ahead?", "--max-new-tokens", "1"], codes=ASKED)


def _attempt(rng: Random, name: str, data: bytes, **more: Any) -> Attempt:
    return Attempt({name: data}, {"how": rng.choice((0, 0, 0, 1, 1, 2, 2, 3))}, **more)


# JPEG: segments. PNG and WebP: chunks. TIFF: entries of the directory.


def segments(data: bytes) -> list[bytes]:
    """The segments of a JPEG file; the last one holds the scan."""
    found, place = [data[:2]], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        found.append(data[place:end])
        place = end
    return [*found, data[place:]]


def _chunks(data: bytes, start: int, *, png: bool) -> list[bytes]:
    found, place = [], start
    while place + 8 <= len(data):
        size = data[place : place + 4] if png else data[place + 4 : place + 8]
        length = int.from_bytes(size, "big" if png else "little")
        end = place + 8 + (length + 4 if png else length + length % 2)
        found.append(data[place:end])
        place = end
    return found


def _rearranged(rng: Random, parts: list[bytes]) -> list[bytes]:
    parts = list(parts)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(parts))
        what = rng.randrange(5)
        if what == 0:
            parts.insert(place, parts[rng.randrange(len(parts))])
        elif what == 1 and len(parts) > 1:
            del parts[place]
        elif what == 2:
            other = rng.randrange(len(parts))
            parts[place], parts[other] = parts[other], parts[place]
        else:
            parts[place] = mutate_bytes(rng, parts[place], 2)
    return parts


@kind("image.jpeg", load, weight=2)
def jpeg(rng: Random, number: int) -> Attempt:
    """Damaged JPEG: bytes or whole segments."""
    data = base("JPEG")
    whole = mutate_bytes(rng, data) if rng.random() < 0.5 else b"".join(_rearranged(rng, segments(data)))
    return _attempt(rng, "x.jpg", whole)


@kind("image.png", load, weight=2)
def png(rng: Random, number: int) -> Attempt:
    """Damaged PNG: bytes, or chunks with right checksums."""
    data = base("PNG")
    if rng.random() < 0.3:
        return _attempt(rng, "x.png", mutate_bytes(rng, data))
    parts = _rearranged(rng, _chunks(data, 8, png=True))
    fixed = [p[:-4] + zlib.crc32(p[4:-4]).to_bytes(4, "big") if len(p) >= 12 else p for p in parts]
    return _attempt(rng, "x.png", data[:8] + b"".join(fixed))


@kind("image.webp", load)
def webp(rng: Random, number: int) -> Attempt:
    """Damaged WebP: bytes or chunks."""
    data = base("WEBP")
    if rng.random() < 0.5:
        return _attempt(rng, "x.webp", mutate_bytes(rng, data))
    body = b"".join(_rearranged(rng, _chunks(data, 12, png=False)))
    return _attempt(rng, "x.webp", b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body)


@kind("image.tiff", load, weight=2)
def tiff(rng: Random, number: int) -> Attempt:
    """Damaged TIFF: bytes, or entries of the directory with another tag, type, count or value."""
    data = bytearray(base("TIFF"))
    if rng.random() < 0.4:
        return _attempt(rng, "x.tif", mutate_bytes(rng, bytes(data)))
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    for _ in range(rng.randrange(1, 4)):
        entry = start + 2 + 12 * rng.randrange(count)
        what = rng.randrange(4)
        if what == 0:
            data[entry : entry + 2] = struct.pack("<H", rng.choice((700, 274, 258, 259, 262, 277, 322, 34675, 0)))
        elif what == 1:
            data[entry + 2 : entry + 4] = struct.pack("<H", rng.randrange(18))
        else:
            where = entry + (4 if what == 2 else 8)
            data[where : where + 4] = struct.pack("<I", rng.choice((0, 1, 7, 255, 65535, 2**31, 2**32 - 1)))
    return _attempt(rng, "x.tif", bytes(data))


@kind("image.other", load)
def other(rng: Random, number: int) -> Attempt:
    """Formats that Pillow could open, under the names of those that are read."""
    forms = (
        "BMP",
        "GIF",
        "ICO",
        "PPM",
        "TGA",
        "PCX",
        "SGI",
        "IM",
        "DDS",
        "JPEG2000",
        "AVIF",
        "MPO",
        "PDF",
        "EPS",
        "QOI",
    )
    form = forms[number % len(forms)]
    try:
        data = base(form)
    except (KeyError, OSError):
        data = b"%!PS-Adobe-3.0\n"
    return _attempt(rng, rng.choice(("x.jpg", "x.png", "x.tiff")), mutate_bytes(rng, data, 2) if number % 3 else data)


@kind("image.ghostscript", load)
def ghostscript(rng: Random, number: int) -> Attempt:
    """PostScript under the name of an image; a stand-in for Ghostscript shows whether it is started."""
    loop = rng.choice((b"{} loop", b"showpage", b"(x) print quit"))
    head = rng.choice((b"%!PS-Adobe-3.0 EPSF-3.0", b"%!PS-Adobe-2.0 EPSF-1.2", b"\xc5\xd0\xd3\xc6" + bytes(26)))
    eps = head + b"\n%%BoundingBox: 0 0 64 32\n%%EndComments\n" + loop + b"\n%%EOF\n"
    return Attempt({rng.choice(("x.jpg", "x.png", "x.tif", "x.eps")): eps}, {"how": number % 4}, must_fail=True)


def _with_segment(body: bytes, where: int = 1) -> bytes:
    parts = [p for p in segments(base("JPEG")) if not p.startswith(b"\xff\xe1")]
    parts.insert(where, b"\xff\xe1" + struct.pack(">H", min(len(body) + 2, 65535)) + body)
    return b"".join(parts)


@kind("image.exif", load, weight=2)
def exif(rng: Random, number: int) -> Attempt:
    """EXIF with tags of any type and value, in JPEG."""
    order = rng.choice("<>")
    entries = []
    for _ in range(rng.randrange(1, 5)):
        tag = rng.choice((0x0112, 0x0112, 0x011A, 0x010F, 0x8769, 0x8825, 0x927C, 0xA005, 700, rng.randrange(65536)))
        numbers = (0, 1, 3, 6, 8, 9, 255, 2**16, 2**31, 2**32 - 1, 8)
        entries.append(
            struct.pack(f"{order}HHII", tag, rng.randrange(16), rng.choice((0, 1, 2, 2**31)), rng.choice(numbers))
        )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", rng.choice((8, 8, 8, 8, 0, 2**31)))
    following = rng.choice((0, 0, 8, 2**32 - 1))
    ifd = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + struct.pack(f"{order}I", following)
    return _attempt(rng, "x.jpg", _with_segment(b"Exif\0\0" + head + ifd + bytes(rng.randrange(32))))


@kind("image.icc", load)
def icc(rng: Random, number: int) -> Attempt:
    """Damaged colour profiles."""
    data = base(rng.choice(("JPEG", "PNG", "WEBP")))
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    profile = mutate_bytes(rng, image.info["icc_profile"])
    stream = io.BytesIO()
    mode = rng.choice(("RGB", "L", "CMYK"))
    form = "PNG" if mode != "CMYK" and rng.random() < 0.3 else "JPEG"
    image.convert(mode).save(stream, form, icc_profile=profile)
    return _attempt(rng, "x.jpg", stream.getvalue())


@kind("image.gpano", load, weight=3)
def gpano(rng: Random, number: int) -> Attempt:
    """GPano with any values, in any spelling and encoding, in JPEG and PNG, once or twice."""
    fields: dict[str, Any] = dict(GPANO)
    for _ in range(rng.randrange(3)):
        name = rng.choice(list(fields) or ["ProjectionType"])
        if rng.random() < 0.3:
            fields.pop(name, None)
        else:
            fields[name] = rng.choice(
                (*NUMBERS, *(t for t in TEXTS if t.isprintable()), "64.0", " 64 ", "+64", "６４", "6e1")
            )
    text = packet(fields, elements=rng.random() < 0.5, prefix=rng.choice(("GPano", "g", "x1")))
    if rng.random() < 0.3:
        text = mutate_text(rng, text, 2)
    coding = rng.choice(("utf-8",) * 5 + ("utf-16-le", "utf-16-be", "utf-32", "latin-1"))
    body = text.encode(coding, "surrogatepass" if coding.startswith("utf") else "replace")[:60_000]
    if rng.random() < 0.7:
        whole = _with_segment(XMP + body)
        if rng.random() < 0.2:
            parts = segments(whole)
            whole = b"".join([*parts[:2], parts[1], *parts[2:]])
        return _attempt(rng, "x.jpg", whole)
    raw = rng.random() < 0.5
    key = b"Raw profile type xmp\0\0" if raw else b"XML:com.adobe.xmp\0\0\0\0\0"
    inner = b"\nxmp\n%8d\n" % rng.choice((len(body), 0, 10**7)) + body.hex().encode() if raw else body
    chunk = key + (zlib.compress(inner) if raw else inner)
    entry = len(chunk).to_bytes(4, "big") + (b"zTXt" if raw else b"iTXt") + chunk
    entry += zlib.crc32(entry[4:]).to_bytes(4, "big")
    data = base("PNG")
    return _attempt(rng, "x.png", data[:33] + entry + data[33:])


@cache
def _zeros(size: int) -> bytes:
    return zlib.compress(bytes(size))


@kind("image.bomb", load)
def bomb(rng: Random, number: int) -> Attempt:
    """Small files that unpack to far more: image data, text chunks, profiles; entities in XMP."""
    what = number % 6
    if what == 0:
        width, height = rng.choice(((60_000, 30_000), (2**31 - 1, 1), (40_000, 20_000), (100_000, 50_000)))
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return _attempt(rng, "x.png", _png(("IHDR", header), ("IDAT", _zeros(10**6)), ("IEND", b"")))
    if what in (1, 2):
        tag = (b"iCCPx\0\0", b"zTXtRaw profile type xmp\0\0")[what - 1]
        body = tag[4:] + _zeros(3 * 10**8)
        data = base("PNG")
        entry = len(body).to_bytes(4, "big") + tag[:4] + body
        return _attempt(rng, "x.png", data[:33] + entry + zlib.crc32(entry[4:]).to_bytes(4, "big") + data[33:])
    if what in (3, 4):
        laugh = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(9))
        entity = '<!ENTITY a0 SYSTEM "file:///etc/passwd">' if what == 4 else '<!ENTITY a0 "ha">'
        text = f"<!DOCTYPE x [{entity}{laugh}]>" + packet({**GPANO, "ProjectionType": "&a9;"}, elements=True)
        return _attempt(rng, "x.jpg", _with_segment(XMP + text.encode()))
    frames = 5000
    data = base("GIF")
    return _attempt(rng, "x.gif", data[:-1] * rng.choice((1, 20)) + b";" * frames)


def _png(*chunks: tuple[str, bytes]) -> bytes:
    whole = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        entry = name.encode() + body
        whole += len(body).to_bytes(4, "big") + entry + zlib.crc32(entry).to_bytes(4, "big")
    return whole
