"""Files of cameras and phones: damaged HEIC, AVIF, JPEG XL and video files, and GPano poses of any value."""

import io
import random
import struct
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from tools.attack._commands import command, geometry_command
from tools.attack._images import GPANO, XMP, base, packet, segments
from tools.attack._kinds import Attempt, kind
from tools.attack._mutations import NUMBERS, TEXTS, mutate_bytes

POSES = (
    *("PoseHeadingDegrees", "PosePitchDegrees", "PoseRollDegrees"),
    *("InitialViewHeadingDegrees", "InitialViewPitchDegrees", "InitialViewRollDegrees"),
    *("InitialHorizontalFOVDegrees", "SourcePhotosCount", "FirstPhotoDate", "StitchingSoftware"),
)
#: Names of boxes of ISO media files whose lengths and contents decide what is read.
BOXES = (b"ftyp", b"meta", b"iloc", b"iinf", b"ispe", b"moov", b"trak", b"stsz", b"stco", b"stsd", b"mdat", b"moof")
HANDMADE = {
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x0cmeta\0\0\0\0",
    "jxl": b"\xff\x0a\x7f\0\0",
    "mp4": b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + b"\0\0\0\x08moov",
    "mkv": b"\x1aE\xdf\xa3\x84webm",
    "avi": b"RIFF\x20\0\0\0AVI LIST\0\0\0\0",
}


def load(folder: Path, attempt: Attempt) -> None:
    """Load the file as an image, as a video, or ask what it is."""
    from panollava_geometry import is_panorama, load_equirectangular
    from panollava_geometry.files import video_frames

    (path,) = folder.iterdir()
    how = attempt.values["how"]
    if how == 0:
        load_equirectangular(path.read_bytes(), return_mask=True)
    elif how == 1:
        load_equirectangular(path, pose=attempt.values.get("pose"), max_width=64)
    elif how == 2:
        geometry_command(["info", str(path), *attempt.values.get("options", ())])
    elif how == 3:
        is_panorama(path)
    elif how == 4:
        for _ in video_frames(path, max_frames=3, every_s=attempt.values.get("every_s")):
            pass
    else:
        command(["crop", str(path), "-o", str(folder / "out"), "--num-views", "2", "--size", "8"])


@cache
def image_file(form: str) -> bytes:
    """A panorama of 64x32 pixels; without the library for its format only the start of one."""
    import numpy as np
    from PIL import Image

    rng = random.Random(0)
    image = Image.frombytes("RGB", (64, 32), bytes(rng.randrange(256) for _ in range(64 * 32 * 3)))
    if form == "avif":
        return base("AVIF")
    if form == "jxl" and find_spec("imagecodecs") is not None:
        import imagecodecs

        return bytes(imagecodecs.jpegxl_encode(np.asarray(image)))
    if form == "heic" and find_spec("pillow_heif") is not None:
        import pillow_heif

        stream = io.BytesIO()
        pillow_heif.from_pillow(image).save(stream, quality=50)
        return stream.getvalue()
    return HANDMADE[form]


@cache
def video_file(form: str) -> bytes:
    """A video of four panoramas of 64x32 pixels; without PyAV only the start of one."""
    if find_spec("av") is None:
        return HANDMADE[form]
    import av
    import numpy as np

    containers = {"mp4": "mp4", "mkv": "matroska", "avi": "avi"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{form}"
        with av.open(str(path), "w", format=containers[form]) as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
            for number in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), 60 * number, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()


def damaged(rng: Random, data: bytes) -> bytes:
    """A file that is cut, changed, or has boxes of other lengths, names and numbers."""
    what = rng.randrange(4)
    if what == 0:
        return data[: rng.randrange(len(data))]
    found = bytearray(data)
    places = [place for box in BOXES if (place := data.find(box)) >= 4]
    if what == 1 and places:
        place = rng.choice(places)
        length = rng.choice((0, 1, 7, 8, 2**31 - 1, 2**32 - 1, len(data)))
        if rng.random() < 0.5:
            found[place - 4 : place] = struct.pack(">I", length)
        else:
            field = place + 4 + 4 * rng.randrange(5)
            found[field : field + 4] = struct.pack(">I", rng.choice((0, 1, 2**16, 2**31, 2**32 - 1)))
        return bytes(found)
    return mutate_bytes(rng, data, 6)


@kind("image.phone", load, weight=2)
def phone(rng: Random, number: int) -> Attempt:
    """Damaged HEIC, AVIF and JPEG XL files, also under other names."""
    form = ("heic", "avif", "jxl")[number % 3]
    name = rng.choice((f"x.{form}", f"x.{form}", "x.jpg"))
    return Attempt({name: damaged(rng, image_file(form))}, {"how": rng.choice((0, 0, 1, 2, 3, 4, 5))})


@kind("image.jxl-size", load)
def jxl_size(rng: Random, number: int) -> Attempt:
    """JPEG XL files whose header says any size, bare and in boxes."""
    bits = rng.randrange(2**128)
    stream = b"\xff\x0a" + bits.to_bytes(16, "little") + image_file("jxl")[2:]
    if number % 2:
        length = rng.choice((0, 1, 7, 8, 20, len(stream) + 8, 2**32 - 1))
        other = struct.pack(">I", rng.choice((0, 1, 4, 8, 16, 2**32 - 1))) + rng.choice((b"ftyp", b"Exif", b"jxlp"))
        box = struct.pack(">I", length) + rng.choice((b"jxlc", b"jxlp")) + stream
        stream = b"\0\0\0\x0cJXL \r\n\x87\n" + other + bytes(8) + box
    return Attempt({"x.jxl": stream}, {"how": rng.choice((0, 1, 2, 3))})


@kind("image.video", load, weight=2)
def video(rng: Random, number: int) -> Attempt:
    """Damaged MP4, Matroska and AVI files, playlists under their names, and images that are none."""
    form = ("mp4", "mkv", "avi")[number % 3]
    values = {"how": rng.choice((4, 4, 4, 2, 2, 0, 3)), "every_s": rng.choice((None, None, 1e-9, 0.05, 1e300))}
    if number % 16 == 5:
        playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
        other = b"ffconcat version 1.0\nfile /etc/passwd\n"
        return Attempt({f"x.{form}": rng.choice((playlist, other))}, values, must_fail=values["how"] != 3)
    return Attempt({f"x.{form}": damaged(rng, video_file(form))}, values)


@kind("image.gpano-pose", load, weight=2)
def gpano_pose(rng: Random, number: int) -> Attempt:
    """GPano poses, initial views and names of any value, applied and reported."""
    texts = (
        *(t for t in TEXTS if t.isprintable() and len(t) < 20_000),
        "12,5",
        "1e400",
        "-1e-400",
        "0x1F",
        "９０",
        "1/2",
    )
    fields: dict[str, Any] = {
        name: rng.choice((*NUMBERS, 360, -90.0, 1e9, *texts)) for name in POSES if rng.random() < 0.6
    }
    if rng.random() < 0.5:
        fields |= GPANO
    text = packet(fields, elements=rng.random() < 0.5)
    body = (XMP + text.encode("utf-8", "surrogatepass"))[:60_000]
    parts = [p for p in segments(base("JPEG")) if not p.startswith(b"\xff\xe1")]
    parts.insert(1, b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)
    values = {
        "how": rng.choice((1, 1, 2, 2, 3, 0)),
        "pose": rng.choice(("level", "north")),
        "options": rng.choice(((), ("--json",))),
    }
    return Attempt({"x.jpg": b"".join(parts)}, values)
